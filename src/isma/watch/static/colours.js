// Colours: few distinct ones for servers, a scale from cool to warm for quantities.
"use strict";

const DISTINCT = [
  [78, 121, 196], [242, 142, 43], [89, 161, 79], [225, 87, 89], [148, 103, 189],
  [23, 162, 184], [237, 201, 72], [214, 97, 159], [140, 108, 84], [127, 140, 153],
];
const WARM = [[58, 96, 190], [86, 160, 211], [176, 208, 190], [252, 205, 96], [240, 120, 50], [190, 24, 66]];
const SIDES = [[47, 120, 230], [232, 126, 4]]; // Of the two policies that are shown.

function distinct(index) {
  if (index < DISTINCT.length) return DISTINCT[index];
  // Hues a golden angle apart, in two lightnesses.
  const hue = (index * 137.508) % 360, light = index % 2 ? 0.62 : 0.48, chroma = 0.42;
  const of = (n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (light - chroma * Math.min(light, 1 - light) * 1.6 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [of(0), of(8), of(4)];
}

function warm(share) {
  const at = Math.min(Math.max(share, 0), 1) * (WARM.length - 1), low = Math.min(Math.floor(at), WARM.length - 2), part = at - low;
  return WARM[low].map((value, i) => Math.round(value + (WARM[low + 1][i] - value) * part));
}

function css(rgb, alpha = 1) {
  return `rgba(${rgb.join(",")},${alpha})`;
}

// What users can be coloured by: a name, a number from 0 to 1 or an index, and the ends of the scale.
const COLOURINGS = {
  host: { label: "serving server", index: (c, row, k) => c.columns.host[k * c.users + row] },
  delay_s: {
    label: "delay, of its deadline", ends: ["0", "deadline"],
    share: (c, row, k) => c.value("delay_s", row, k) / c.header.deadline_s[row],
  },
  load: {
    label: "load of its server", ends: ["0", "1.5"],
    share: (c, row, k) => c.value("load", c.columns.host[k * c.users + row], k) / 1.5,
  },
  offload_ratio: { label: "part offloaded", ends: ["0 %", "100 %"], share: (c, row, k) => c.value("offload_ratio", row, k) },
  granted_share: {
    label: "share of the server's CPU", ends: ["0", "50 %"], share: (c, row, k) => 2 * c.value("granted_share", row, k),
  },
  station: { label: "base station", index: (c, row, k) => c.columns.station[k * c.users + row] },
  moves: {
    label: "migrations so far", ends: ["0", "10"],
    share: (c, row, k) => c.movesOf(row, k) / 10,
  },
};
