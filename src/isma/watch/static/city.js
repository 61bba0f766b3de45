// The map: one deck.gl view for each policy that is shown, in metres.
"use strict";

const ARC_FRAMES = 6, ARC_LEAST_S = 2; // How long a migration's arc stays.
const TRAIL_S = 40, TRAIL_PARTS = 24, TRAIL_PLACES = 60000, TRAIL_ERROR = 1 / 1500;
const MOST_LINES = 3000; // Users up to which every service has its line.
const MOVES = { dragMode: "pan", keyboard: true, inertia: true };
const STREET = [128, 136, 150, 190], LINK = [128, 136, 150, 64], STANDING = [225, 29, 72];

class City {
  constructor(parent, app) {
    this.app = app;
    Object.assign(this, plainLayers());
    this.layout = "";
    const { header } = app.courses[0];
    this.middle = [mean(ends(header.station_x_m)), mean(ends(header.station_y_m))];
    this.extentM = Math.max(...[header.station_x_m, header.station_y_m].map((v) => ends(v)[1] - ends(v)[0]), 500);
    const gaps = this.extentM / Math.max(Math.sqrt(header.station_x_m.length), 2);
    this.columnM = gaps * 0.1; // Radius of a server.
    this.heightM = Math.min(gaps * 0.9, this.extentM / 6); // Height at a load of 1.
    this.streets = app.page.streets && streetsOf(app.page.streets);
    this.view = { target: [...this.middle, 0], zoom: 0, rotationX: 46, rotationOrbit: -16 };
    this.view = this.whole();
    this.deck = new deck.Deck({
      parent,
      views: this.viewsOf(1),
      viewState: {},
      controller: MOVES,
      layers: [],
      pickingRadius: 6,
      deviceProps: { type: "webgl", webgl: { antialias: !app.software, preserveDrawingBuffer: false } },
      useDevicePixels: Math.min(window.devicePixelRatio || 1, 2),
      layerFilter: ({ layer, viewport }) => layer.id.startsWith(viewport.id),
      onViewStateChange: ({ viewState }) => this.look(viewState),
      onClick: (info) => app.picked(info),
      getTooltip: (info) => app.tooltip(info),
      getCursor: ({ isDragging, isHovering }) => (app.boxing ? "crosshair" : isDragging ? "grabbing" : isHovering ? "pointer" : "grab"),
      onAfterRender: () => app.drawn(),
      onError: (error) => app.failed(error),
      style: { position: "absolute" },
      widgets: this.widgets(1),
    });
  }

  // A view of the whole city in the place that it has: stations, and servers' heights.
  whole() {
    const box = document.getElementById("map").getBoundingClientRect(), flat = this.app.flat, two = this.app.sides().length > 1;
    const width = Math.max(box.width / (two && !this.stacked() ? 2 : 1), 100), height = Math.max(box.height / (two && this.stacked() ? 2 : 1), 100);
    const { header } = this.app.courses[0], [west, east] = ends(header.station_x_m), [south, north] = ends(header.station_y_m);
    const edge = Math.max(this.columnM * 3, this.extentM * 0.04), corners = [];
    for (const x of [west - edge, east + edge]) for (const y of [south - edge, north + edge]) for (const z of [0, flat ? 0 : this.heightM]) corners.push([x, y, z]);
    let view = { target: [...this.middle, 0], zoom: Math.log2(width / this.extentM) - 1, rotationX: flat ? 90 : height > width ? 58 : 46, rotationOrbit: flat ? 0 : -16, minZoom: -12, maxZoom: 4 };
    const free = { left: 14, right: 14, top: 46, bottom: box.width > 820 ? 70 : 20 };
    for (let turn = 0; turn < 4; turn++) {
      const port = new deck.OrbitView({ orbitAxis: "Z" }).makeViewport({ width, height, viewState: view });
      const at = corners.map((corner) => port.project(corner)), [left, right] = ends(at.map(([x]) => x)), [top, bottom] = ends(at.map(([, y]) => y));
      const fits = Math.min((width - free.left - free.right) / (right - left), (height - free.top - free.bottom) / (bottom - top));
      // The middle of what is seen goes to the middle of the free place.
      const dx = (left + right) / 2 - (width + free.left - free.right) / 2, dy = (top + bottom) / 2 - (height + free.top - free.bottom) / 2;
      const [x, y] = port.unproject([width / 2 + dx, height / 2 + dy], { targetZ: 0 });
      if (![x, y, fits].every(Number.isFinite) || fits <= 0) break;
      view = { ...view, target: [x, y, 0], zoom: view.zoom + Math.log2(fits) };
    }
    return view;
  }

  look(viewState) {
    const { target, zoom, rotationX, rotationOrbit } = viewState;
    this.view = { ...this.view, target, zoom, rotationX, rotationOrbit };
    this.app.moved();
  }

  stacked() {
    const box = document.getElementById("map").getBoundingClientRect();
    return box.width < box.height * 1.05;
  }

  viewsOf(count) {
    const made = (id) => new deck.OrbitView({ id, orbitAxis: "Z", controller: MOVES, near: 0.01, far: 1000 });
    return count === 1 ? [made("A-")] : [made("A-"), made("B-")];
  }

  widgets(count) {
    const app = this.app, dark = app.dark();
    const theme = new deck.ThemeWidget({
      id: "theme", placement: "top-right", themeMode: dark ? "dark" : "light", lightModeTheme: deck.LightTheme,
      darkModeTheme: deck.DarkTheme, lightModeLabel: "Dark colours", darkModeLabel: "Light colours",
      onThemeModeChange: (mode) => app.setTheme(mode),
    });
    const shot = new deck.ScreenshotWidget({ id: "screenshot", placement: "top-right", label: "Save the map as a picture", onCapture: () => app.saveMap() });
    const zoom = new deck.ZoomWidget({ id: "zoom", placement: "top-right", onZoom: ({ delta }) => this.zoomBy(delta) });
    const full = new deck.FullscreenWidget({ id: "fullscreen", placement: "top-right", container: document.body, enterLabel: "Whole screen" });
    const widgets = [theme, shot, full, zoom, ...(this.timeline ? [this.timeline] : [])];
    if (count === 2) {
      const views = this.viewsOf(2);
      widgets.push(new deck._SplitterWidget({
        id: `splitter-${this.layout}`, viewLayout: { orientation: this.layout === "stacked" ? "vertical" : "horizontal", views, initialSplit: 0.5 },
        onChange: (placed) => {
          this.deck?.setProps({ views: placed });
          app.placeLabels(placed);
        },
      }));
    }
    return widgets;
  }

  zoomBy(delta) {
    this.look({ ...this.view, zoom: this.view.zoom + delta });
  }

  // Lay out one view or two; where two lie is the splitter's.
  arrange(count) {
    const layout = count === 1 ? "single" : this.stacked() ? "stacked" : "beside";
    if (layout === this.layout) return;
    this.layout = layout;
    if (count === 1) {
      const views = this.viewsOf(1);
      this.deck.setProps({ views, widgets: this.widgets(1) });
      this.app.placeLabels(views);
    } else {
      this.deck.setProps({ widgets: this.widgets(2) });
    }
  }

  retheme() {
    this.deck.setProps({ widgets: this.widgets(this.layout === "single" ? 1 : 2) });
  }

  draw(timeS) {
    const app = this.app, sides = app.sides();
    this.arrange(sides.length);
    const layers = sides.flatMap((course, i) => this.layersOf(course, i ? "B-" : "A-", timeS));
    const viewState = { "A-": this.view, "B-": this.view };
    this.deck.setProps({ layers, viewState });
  }

  // A renderer takes a while to make a program for each kind of layer, and again for each form of its columns:
  // the first picture has three, so that it is soon there, and all come after it.
  layersOf(course, id, timeS) {
    const app = this.app, held = (course.drawing ??= this.drawingOf(course)), rest = app.firstPicture !== undefined;
    const frame = this.placed(course, held, timeS);
    this.colour(course, held, frame);
    this.serve(course, held, frame);
    return [
      this.streets && new this.HairlineLayer({ id: `${id}streets`, data: this.streets }),
      new this.HairlineLayer({ id: `${id}links`, data: held.links }),
      held.ends && new this.HairlineLayer({ id: `${id}services`, data: rows(2 * course.users, { getPosition: held.joined, getColor: held.lines }) }),
      rest && this.trails(course, id, timeS),
      rest && course.has("price_s") && new deck.ScatterplotLayer({
        id: `${id}prices`, data: held.prices, positionFormat: "XY", filled: false, stroked: true, lineWidthUnits: "pixels", getLineWidth: 1.5,
      }),
      new deck.ColumnLayer({
        id: `${id}servers`, data: held.servers, diskResolution: 12, radius: this.columnM, extruded: true, pickable: true,
        material: { ambient: 0.62, diffuse: 0.5, shininess: 12 }, elevationScale: this.heightM, parameters: { depthTest: true },
      }),
      new this.DotLayer({
        id: `${id}users`, data: rows(course.users, { getPosition: held.at, getRadius: held.radii, getFillColor: held.fills, getLineColor: held.rims }),
        pickable: true, parameters: { depthCompare: "always" },
      }),
      rest && this.arcs(course, id, timeS),
      rest && this.names(course, id),
    ];
  }

  drawingOf(course) {
    const { header } = course, { links } = header, n = course.users, lined = n <= MOST_LINES;
    const places = (stations) => column(Float32Array.from(stations.flatMap((at) => [header.station_x_m[at], header.station_y_m[at]])), 2);
    // Columns have places in the form that deck.gl begins with: it complains of a change for want of their other parts.
    const feet = Float64Array.from(header.server_station.flatMap((at) => [header.station_x_m[at], header.station_y_m[at], 0]));
    return {
      feet: column(feet, 3), place: new Float32Array(2 * n), ends: lined ? new Float32Array(4 * n) : null, stands: places(header.server_station),
      links: rows(2 * links.length, { getPosition: places(links.flat()), getColor: shades(2 * links.length, LINK) }), mostPrice: highest(course, "price_s"),
    };
  }

  // Places of users, and the near ends of the lines to their servers.
  placed(course, held, timeS) {
    const { frame } = course.at(timeS);
    if (held.timeS === timeS && held.frames === course.frames) return frame;
    Object.assign(held, { timeS, frames: course.frames });
    course.place(timeS, held.place);
    held.at = column(held.place, 2);
    for (let row = 0; held.ends && row < course.users; row++) {
      const present = held.place[2 * row] < 1e8;
      held.ends[4 * row] = present ? held.place[2 * row] : held.ends[4 * row + 2];
      held.ends[4 * row + 1] = present ? held.place[2 * row + 1] : held.ends[4 * row + 3];
    }
    held.joined = column(held.ends, 2);
    return frame;
  }

  // Colours of users and of the lines to their servers, and those lines' far ends; they change with the frame.
  colour(course, held, frame) {
    const app = this.app, by = COLOURINGS[app.colouring], dark = app.dark(), told = [frame, app.colouring, app.mark, dark].join();
    if (held.told === told) return;
    held.told = told;
    const n = course.users, some = app.selected.size > 0, ink = this.ink(), paper = dark ? [10, 14, 22] : [255, 255, 255], size = sizeOf(n);
    const faint = Math.min((n > 600 ? 60 : 110) * Math.max(devicePixelRatio, 1), 200);
    const fills = new Uint8Array(4 * n), rims = new Uint8Array(4 * n), radii = new Float32Array(n), lines = new Uint8Array(held.ends ? 8 * n : 0);
    for (let row = 0; row < n; row++) {
      const k = frame * n + row, host = course.columns.host[k], stopped = course.columns.state[k] === STOPPED;
      const rgb = by.index ? distinct(by.index(course, row, frame)) : warm(by.share(course, row, frame));
      const marked = app.user === row, dim = (some && !app.selected.has(row)) || (app.server !== null && host !== app.server && !marked);
      put(fills, row, rgb, dim ? 60 : 255);
      if (marked) put(rims, row, ink, 255);
      else if (stopped) put(rims, row, STANDING, 255);
      else put(rims, row, held.ends ? paper : rgb, dim ? 40 : 220);
      radii[row] = size * (marked ? 2.1 : stopped ? 1.5 : some && !dim ? 1.4 : 1);
      if (!held.ends) continue;
      const alpha = dim ? 12 : marked ? 255 : app.server === host ? 200 : faint;
      for (const end of [2 * row, 2 * row + 1]) put(lines, end, rgb, alpha);
      held.ends[4 * row + 2] = held.stands.value[2 * host];
      held.ends[4 * row + 3] = held.stands.value[2 * host + 1];
    }
    Object.assign(held, { fills: column(fills, 4), rims: column(rims, 4), radii: column(radii, 1), lines: column(lines, 4), joined: column(held.ends, 2) });
  }

  // Heights and colours of servers, and the rings of their prices.
  serve(course, held, frame) {
    const app = this.app, told = [frame, app.server, course.frames].join();
    if (held.servedTold === told) return;
    held.servedTold = told;
    const n = course.servers, colours = new Uint8Array(4 * n), heights = new Float32Array(n), rings = new Uint8Array(4 * n), radii = new Float32Array(n);
    for (let server = 0; server < n; server++) {
      const load = course.value("load", server, frame), down = course.has("up") && !course.columns.up[frame * n + server];
      const rgb = down ? [120, 120, 120] : warm(load / 1.5), dim = app.server !== null && app.server !== server;
      const price = held.mostPrice && course.has("price_s") ? Math.sqrt(course.value("price_s", server, frame) / held.mostPrice) : 0;
      put(colours, server, rgb, dim ? 120 : 235);
      put(rings, server, rgb, price > 0.01 ? 150 : 0);
      heights[server] = 0.06 + Math.min(load, 2);
      radii[server] = this.columnM * (1.3 + 1.7 * price);
    }
    held.servers = rows(n, { getPosition: held.feet, getElevation: column(heights, 1), getFillColor: column(colours, 4) });
    held.prices = rows(n, { getPosition: held.stands, getRadius: column(radii, 1), getLineColor: column(rings, 4) });
  }

  ink() {
    return this.app.dark() ? [235, 238, 245] : [30, 36, 48];
  }

  // The last part of users' ways, of all where they are few.
  trails(course, id, timeS) {
    if (this.app.software && this.app.playing) return null; // Segments are instances: too many for each frame.
    const chosen = course.users * course.capacity <= TRAIL_PLACES ? null : [...(this.app.selected.size ? this.app.selected : []), ...(this.app.user === null ? [] : [this.app.user])];
    const rows = chosen ?? [...Array(course.users).keys()];
    const lengthS = Math.max(TRAIL_S, 8 * course.frameS), spanS = lengthS;
    const from = Math.floor(timeS / spanS) * spanS - lengthS;
    const told = [from, rows.length < 200 ? rows.join() : rows.length, course.frames].join();
    const held = course.drawing;
    if (held.trailTold !== told) {
      held.trailTold = told;
      const first = Math.max(Math.floor(from / course.frameS), 0), last = Math.min(Math.ceil((from + lengthS + spanS) / course.frameS) + 1, course.frames);
      const step = Math.max(1, Math.floor(lengthS / TRAIL_PARTS / course.frameS));
      held.trail = rows.map((row) => straightened(wayOf(course, row, first, last, step), this.extentM * TRAIL_ERROR)).filter((way) => way.path.length > 1);
    }
    return new deck.TripsLayer({
      id: `${id}trails`, data: held.trail, getPath: (d) => d.path, getTimestamps: (d) => d.timeS, positionFormat: "XY", currentTime: timeS, trailLength: lengthS,
      getColor: this.app.dark() ? [160, 190, 235] : [70, 90, 130], opacity: this.app.dark() ? 0.5 : 0.35, widthUnits: "pixels", getWidth: 2, capRounded: false, fadeTrail: true,
      updateTriggers: { getColor: this.app.dark() },
    });
  }

  arcs(course, id, timeS) {
    const staysS = Math.max(ARC_LEAST_S, ARC_FRAMES * course.frameS, this.app.speed * 0.8), { moves, header } = course;
    const found = [];
    for (let i = course.movesBefore(timeS - staysS), end = course.movesBefore(timeS + 1e-6); i < end; i++) {
      const row = moves.user[i];
      if (moves.source[i] === moves.target[i] || (this.app.selected.size && !this.app.selected.has(row))) continue;
      const age = (timeS - moves.tick[i] * header.tick_s) / staysS;
      found.push({ user: row, source: moves.source[i], target: moves.target[i], fresh: 1 - age });
    }
    return new deck.ArcLayer({
      id: `${id}arcs`, data: found, getSourcePosition: (m) => [...course.station(m.source), 0], getTargetPosition: (m) => [...course.station(m.target), 0],
      getSourceColor: (m) => [255, 170, 60, 40 + 120 * m.fresh], getTargetColor: (m) => [230, 40, 110, 60 + 195 * m.fresh],
      getWidth: (m) => 1.5 + 3.5 * m.fresh, getHeight: 0.55, numSegments: 24,
      updateTriggers: { getSourceColor: timeS, getTargetColor: timeS, getWidth: timeS },
    });
  }

  names(course, id) {
    if (course.servers > 30 && this.app.server === null) return null;
    const of = course.servers > 30 ? [this.app.server] : [...Array(course.servers).keys()];
    return new deck.TextLayer({
      id: `${id}names`, data: of, getText: (s) => short(course.nameOf(s)), getPosition: (s) => [...course.station(s), 0], characterSet: "auto", fontFamily: "system-ui, sans-serif",
      getSize: 12, getColor: [...this.ink(), 235], getPixelOffset: [0, 16], fontWeight: 600, background: false, updateTriggers: { getColor: this.app.dark(), getText: of.length },
      parameters: { depthCompare: "always" },
    });
  }
}

// Data of a layer as deck.gl takes it without reading it row by row; it sends on what is another object.
function rows(length, attributes) {
  return { length, attributes };
}

function column(value, size) {
  return { value, size, normalized: value instanceof Uint8Array };
}

function shades(count, rgba) {
  const colours = new Uint8Array(4 * count);
  for (let row = 0; row < count; row++) put(colours, row, rgba, rgba[3]);
  return column(colours, 4);
}

// Lines of streets, cut at their points.
function streetsOf(lines) {
  const places = lines.flatMap((line) => line.slice(1).flatMap((point, i) => [...line[i], ...point]));
  return rows(places.length / 2, { getPosition: column(Float32Array.from(places), 2), getColor: shades(places.length / 2, STREET) });
}

function put(colours, row, rgb, alpha) {
  for (let i = 0; i < 3; i++) colours[4 * row + i] = rgb[i];
  colours[4 * row + 3] = alpha;
}

function sizeOf(users) {
  return users > 3000 ? 2.2 : users > 400 ? 3.2 : users > 100 ? 4.4 : 5.5;
}

function wayOf(course, row, first, last, every) {
  const path = [], timeS = [], { columns } = course, step = course.header.columns.x_m.step;
  for (let k = first; k < last; k += every) {
    const i = k * course.users + row;
    if (columns.state[i] === ABSENT) continue;
    path.push([columns.x_m[i] * step, columns.y_m[i] * step]);
    timeS.push((k + 1) * course.frameS);
  }
  return { path, timeS };
}

// A way without the points that a straight and steady one between two others passes by itself.
function straightened({ path, timeS }, errorM) {
  const kept = path.length ? [0] : [];
  const passes = (from, to, k) => {
    const part = (timeS[k] - timeS[from]) / (timeS[to] - timeS[from]);
    return [0, 1].every((i) => Math.abs(path[from][i] + (path[to][i] - path[from][i]) * part - path[k][i]) <= errorM);
  };
  for (let k = 1; k < path.length; k++) {
    const from = kept[kept.length - 1];
    let all = k + 1 < path.length;
    for (let between = from + 1; all && between <= k; between++) all = passes(from, k + 1, between);
    if (!all) kept.push(k);
  }
  return { path: kept.map((k) => path[k]), timeS: kept.map((k) => timeS[k]) };
}

function highest(course, name) {
  if (!course.has(name)) return 0;
  const column = course.columns[name], { scale, step } = course.header.columns[name];
  const most = column.reduce((a, b) => Math.max(a, b), 0);
  return scale === "linear" ? most * step : most && LEAST * 10 ** (most / PER_DECADE);
}

function ends(values) {
  return values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
}

function mean([low, high]) {
  return (low + high) / 2;
}

function short(text) {
  return text.length > 14 ? `${text.slice(0, 13)}…` : text;
}
