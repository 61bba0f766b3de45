// The page: what is shown when, and what hands, keys and links do about it.
"use strict";

const SPEEDS = [0.25, 0.5, 1, 2, 5, 10, 20, 60, 120, 300];
const at = (id) => document.getElementById(id);

class App {
  constructor(page) {
    this.page = page;
    this.courses = page.replays.map((replay) => new Course(replay.header));
    this.timeS = 0;
    this.playing = false;
    this.a = page.first;
    this.b = null;
    this.colouring = "host";
    this.user = this.server = null; // What is chosen; a user's row.
    this.selected = new Set();
    this.follow = this.flat = this.boxing = false;
    this.mark = 0; // Counts changes of what is marked.
    this.frames = [];
    const { header } = this.courses[0];
    this.speed = SPEEDS.reduce((best, s) => (Math.abs(Math.log(s * 60 / header.duration_s)) < Math.abs(Math.log(best * 60 / header.duration_s)) ? s : best));
  }

  sides() {
    return (this.b === null ? [this.a] : [this.a, this.b]).map((i) => this.courses[i]);
  }

  async start() {
    this.restore();
    await this.load(this.a, 1);
    this.software = /swiftshader|llvmpipe|software/i.test(this.renderer());
    this.city = new City(at("map"), this);
    if (this.wanted?.view) Object.assign(this.city.view, this.wanted.view);
    this.chart = new Chart(at("chart"), this);
    this.stories = new Stories(this);
    this.controls();
    this.show();
    await this.load(this.a);
    if (this.b !== null) await this.load(this.b);
    this.ready = true;
    this.settle();
    requestAnimationFrame((now) => this.loop(now));
    if (this.page.live) this.listen();
  }

  // Take blocks in that are here and not yet in a course; a first few of them, or all.
  async load(index, most = Infinity) {
    const course = this.courses[index], { blocks } = this.page.replays[index];
    while (course.blocks < Math.min(blocks.length, most)) {
      const number = course.blocks, block = blocks[number], first = this.page.replays[0].blocks[number];
      const columns = Object.fromEntries(Object.entries(block.columns).map(([name, text]) => [name, text === "=" ? first.columns[name] : text]));
      await course.add({ ...block, columns });
    }
  }

  loop(now) {
    const past = Math.min((now - (this.last ?? now)) / 1000, 0.25);
    this.last = now;
    if (this.playing) {
      const end = Math.min(...this.sides().map((c) => c.endS));
      this.timeS = Math.min(this.timeS + past * this.speed, end);
      if (this.timeS >= this.sides()[0].header.duration_s) this.play(false);
      this.frames.push(now);
      if (this.frames.length > 120) this.frames.shift();
      this.show();
    } else if (this.dirty) {
      this.show();
    }
    requestAnimationFrame((next) => this.loop(next));
  }

  // Draw the moment: the map each time, words a few times a second.
  show() {
    this.dirty = false;
    if (this.follow && this.user !== null) this.pursue();
    this.city.draw(this.timeS);
    const now = performance.now();
    if (!this.playing || now - (this.told ?? 0) > 200) {
      this.told = now;
      this.words();
    }
  }

  words() {
    this.timeline.setProps({ time: this.timeS, playing: this.playing });
    this.label();
    this.say("clock", `${this.clock(this.timeS)} of ${this.clock(this.courses[0].header.duration_s)}`);
    this.stories.numbers();
    this.stories.servers();
    this.stories.story();
    this.chart.draw();
    this.chart.tick();
    if (!this.playing) this.remember();
  }

  // Something else is to be shown.
  change(what = {}) {
    Object.assign(this, what);
    this.mark += 1;
    this.dirty = true;
  }

  seek(timeS) {
    const end = Math.min(...this.sides().map((c) => c.endS));
    this.change({ timeS: Math.min(Math.max(timeS, 0), end) });
  }

  play(on) {
    if (on && this.timeS >= this.sides()[0].endS - 1e-6) this.timeS = 0;
    this.frames = [];
    this.change({ playing: on });
    this.say("status", on ? "playing" : `paused at ${this.clock(this.timeS)}`);
  }

  faster(steps) {
    const place = SPEEDS.indexOf(this.speed) + steps;
    this.change({ speed: SPEEDS[Math.min(Math.max(place, 0), SPEEDS.length - 1)] });
    at("speed").value = String(this.speed);
  }

  choose({ user = null, server = null }) {
    this.change({ user, server, follow: this.follow && user !== null });
    at("follow").setAttribute("aria-pressed", this.follow);
    at("follow").disabled = user === null;
    const named = user !== null ? `user ${this.courses[0].header.user_id[user]}` : server !== null ? `server ${server}` : "nothing";
    this.say("status", `${named} chosen`);
    if (user !== null || server !== null) at("find").value = user !== null ? `u${this.courses[0].header.user_id[user]}` : `s${server}`;
  }

  select(rows) {
    this.change({ selected: new Set(rows) });
    this.say("status", `${rows.length} users selected`);
    at("users").value = rows.map((row) => this.courses[0].header.user_id[row]).join(", ");
  }

  pursue() {
    const course = this.sides()[0], held = course.drawing?.place ?? new Float32Array(2 * course.users);
    course.place(this.timeS, held);
    const [x, y] = [held[2 * this.user], held[2 * this.user + 1]];
    if (Math.abs(x) < 1e8) this.city.view = { ...this.city.view, target: [x, y, 0] };
  }

  picked(info) {
    if (!info?.layer) return this.choose({});
    if (info.layer.id.endsWith("users")) this.choose({ user: info.index });
    else if (info.layer.id.endsWith("servers")) this.choose({ server: info.index });
    else this.choose({});
  }

  tooltip(info) {
    if (!info?.layer || info.index < 0) return null;
    const course = this.courses.find((c) => c === this.sides()[info.layer.id.startsWith("B-") ? 1 : 0]), { frame } = course.at(this.timeS);
    if (info.layer.id.endsWith("users")) {
      const k = frame * course.users + info.index;
      return { text: `user ${this.naming("user", course.header.user_id[info.index])}\nserver ${course.columns.host[k]}\ndelay ${this.duration(course.value("delay_s", info.index, frame))}` };
    }
    if (info.layer.id.endsWith("servers")) {
      const server = info.index;
      return { text: `server ${server} · ${course.nameOf(server)}\nload ${course.value("load", server, frame).toFixed(2)}\n${course.usersOf(server, frame).length} users` };
    }
    return null;
  }

  moved() {
    this.dirty = true;
  }

  drawn() {
    if (!this.firstPicture && this.city) {
      this.firstPicture = performance.now();
      performance.mark("isma:first-picture");
      this.dirty = true; // All else is drawn with the next one.
      document.body.dataset.drawn = "";
    }
  }

  failed(error) {
    this.say("status", `The map cannot be drawn: ${error.message}`);
    console.error(error.message);
  }

  // Frames a second while it plays.
  rate() {
    const f = this.frames;
    return f.length > 1 ? (1000 * (f.length - 1)) / (f[f.length - 1] - f[0]) : 0;
  }

  // What draws the map: a graphics card, or a program in its place.
  renderer() {
    const gl = document.createElement("canvas").getContext("webgl2"), named = gl?.getExtension("WEBGL_debug_renderer_info");
    return gl ? gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER) : "none";
  }

  dark() {
    return document.documentElement.dataset.theme === "dark";
  }

  setTheme(mode) {
    document.documentElement.dataset.theme = mode;
    this.city.retheme();
    this.change();
  }

  saveMap() {
    this.city.deck.redraw("picture");
    const link = element("a", { href: this.city.deck.getCanvas().toDataURL("image/png"), download: `replay-${Math.round(this.timeS)}s.png` });
    link.click();
  }

  placeLabels(views) {
    this.sides().forEach((course, i) => {
      const place = views[i]?.props ?? {}, tag = at(`label-${i}`);
      tag.style.left = `calc(${place.x ?? 0} + 12px)`;
      tag.style.top = `calc(${place.y ?? 0} + 12px)`;
      tag.hidden = false;
    });
    at("label-1").hidden = this.b === null;
    this.dirty = true;
  }

  say(id, text) {
    const place = at(id);
    if (place.textContent !== text) place.textContent = text;
  }

  naming(kind, id) {
    return this.page.names?.[kind]?.[id] ?? String(id);
  }

  number(value, digits = 3) {
    return Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 6 });
  }

  duration(seconds) {
    if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
    if (!Number.isFinite(seconds)) return "∞";
    if (seconds === 0) return "0 s";
    return seconds < 1 ? `${this.number(seconds * 1000)} ms` : `${this.number(seconds)} s`;
  }

  clock(seconds) {
    const whole = Math.floor(seconds + 1e-6), two = (n) => String(n).padStart(2, "0");
    const rest = [Math.floor(whole / 60) % 60, whole % 60].map(two).join(":");
    const tenth = this.courses[0].frameS < 1 && this.courses[0].header.duration_s < 3600 ? `.${Math.floor((seconds + 1e-6) * 10) % 10}` : "";
    return (whole >= 3600 ? `${Math.floor(whole / 3600)}:${rest}` : rest) + tenth;
  }
}

async function begin() {
  const app = (window.replay = new App(JSON.parse(at("replays").textContent)));
  try {
    await app.start();
  } catch (error) {
    at("status").textContent = `The replay cannot be shown: ${error.message}`;
    throw error;
  }
}
