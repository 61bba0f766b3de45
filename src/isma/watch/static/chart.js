// Delay over time: each policy's mean in intervals, of all users or of those that are selected.
"use strict";

const MOST_INTERVALS = 240, FAR = 2.5;

class Chart {
  constructor(parent, app) {
    this.parent = parent;
    this.app = app;
    new ResizeObserver(() => this.resize()).observe(parent);
  }

  resize() {
    this.plot?.setSize(this.size());
  }

  size() {
    return { width: Math.max(this.parent.clientWidth, 120), height: Math.max(this.parent.clientHeight, 90) };
  }

  // Intervals of whole frames, few enough to read.
  every(course) {
    return Math.max(1, Math.ceil(course.capacity / MOST_INTERVALS));
  }

  data() {
    const sides = this.app.sides(), users = this.app.selected.size ? [...this.app.selected] : this.app.user !== null ? [this.app.user] : null;
    const course = sides[0], every = this.every(course), x = [], deadline = [];
    const limit = meanOf(users ? users.map((row) => course.header.deadline_s[row]) : course.header.deadline_s);
    for (let k = 0; k < course.frames; k += every) {
      x.push(Math.min((k + every) * course.frameS, course.endS));
      deadline.push(limit);
    }
    const means = sides.map((c) => x.map((_, i) => c.meanDelay(i * every, (i + 1) * every, users)));
    return [x, deadline, ...means];
  }

  draw() {
    const app = this.app, sides = app.sides(), users = app.selected.size || (app.user !== null ? 1 : 0);
    const told = [sides.map((c) => c.policy + c.frames).join(), [...app.selected].join(), app.user, app.dark()].join("|");
    if (told === this.told) return;
    this.told = told;
    const every = this.every(sides[0]) * sides[0].frameS, data = this.data();
    const most = data.slice(2).flat().reduce((a, b) => Math.max(a, b ?? 0), 0), limit = data[1][0] ?? 0;
    const far = limit > FAR * most; // A deadline that would press the delays flat is told, not drawn.
    app.say("chart-title", `Mean delay${users ? ` of ${users === 1 ? "1 user" : `${users} users`}` : ""}, ${app.number(every)} s each${far ? ` (deadline ${app.duration(limit)}, above)` : ""}`);
    this.plot?.destroy();
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--soft").trim(), line = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "11px system-ui" };
    this.plot = new uPlot(
      {
        ...this.size(),
        cursor: { drag: { x: false, y: false }, y: false, points: { size: 6 } },
        legend: { show: true, live: true },
        scales: { x: { time: false, range: [0, sides[0].header.duration_s] }, y: { range: () => [0, (far ? most : Math.max(most, limit)) * 1.12 || 1] } },
        axes: [
          { ...axis, values: (u, values) => values.map((v) => app.clock(v)), size: 26, space: 60 },
          { ...axis, values: (u, values) => values.map((v) => app.duration(v)), size: 58 },
        ],
        series: [
          { label: "time", value: (u, v) => (v === null ? "–" : app.clock(v)) },
          { label: "deadline", stroke: "#d0305a", dash: [6, 5], width: 1.2, points: { show: false }, value: (u, v) => app.duration(v) },
          ...sides.map((c, i) => ({ label: c.policy, stroke: css(SIDES[i]), width: 1.8, spanGaps: true, points: { show: false }, value: (u, v) => app.duration(v) })),
        ],
        hooks: { draw: [(u) => this.marks(u)], ready: [(u) => u.over.addEventListener("click", () => app.seek(u.posToVal(u.cursor.left, "x")))] },
      },
      data,
      this.parent,
    );
  }

  // The present moment.
  marks(u) {
    const x = u.valToPos(this.app.timeS, "x", true), { ctx, bbox } = u;
    ctx.save();
    ctx.fillStyle = css(this.app.dark() ? [255, 255, 255] : [20, 24, 34], 0.75);
    ctx.fillRect(Math.round(x), bbox.top, Math.max(1, devicePixelRatio), bbox.height);
    ctx.restore();
  }

  tick() {
    this.plot?.redraw(false, false);
  }
}

function meanOf(values) {
  return values.reduce((a, b) => a + b, 0) / Math.max(values.length, 1);
}
