// Controls: buttons, fields, keys, the timeline with its marks, the link that restores all.
"use strict";

Object.assign(App.prototype, {
  controls() {
    this.timeline = new deck._TimelineWidget({
      id: "timeline", _container: at("time"), timeRange: [0, this.courses[0].header.duration_s], step: this.courses[0].frameS, time: this.timeS, playing: false,
      playInterval: 1e9, formatLabel: (v) => this.clock(v), onTimeChange: (v) => this.seek(v), onPlayingChange: (on) => this.play(on),
      playTooltip: false, pauseTooltip: false,
    });
    this.city.timeline = this.timeline;
    this.city.retheme();
    const options = (id, values, chosen) => at(id).replaceChildren(...values.map(([value, label]) => element("option", { value, selected: value === chosen }, label)));
    const policies = this.courses.map((c, i) => [String(i), c.policy]);
    options("policy-a", policies, String(this.a));
    options("policy-b", [["", "nothing beside"], ...policies], this.b === null ? "" : String(this.b));
    options("colour", Object.entries(COLOURINGS).map(([name, by]) => [name, by.label]), this.colouring);
    options("speed", SPEEDS.map((s) => [String(s), `${s}×`]), String(this.speed));
    at("policy-a").onchange = (e) => this.compare(Number(e.target.value), this.b);
    at("policy-b").onchange = (e) => this.compare(this.a, e.target.value === "" ? null : Number(e.target.value));
    at("colour").onchange = (e) => this.paint(e.target.value);
    at("speed").onchange = (e) => this.change({ speed: Number(e.target.value) });
    at("follow").onclick = () => this.pursuing(!this.follow);
    at("flat").onclick = () => this.tilt(!this.flat);
    at("whole").onclick = () => this.overview();
    at("box").onclick = () => this.boxed(!this.boxing);
    at("link").onclick = () => this.copyLink();
    at("find").onchange = (e) => this.find(e.target.value);
    at("users").onchange = (e) => this.select(this.rowsOf(e.target.value));
    at("keys-open").onclick = () => at("keys").showModal();
    at("keys-close").onclick = () => at("keys").close();
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("hashchange", () => location.hash !== this.written && (this.restore(), this.settle()));
    new ResizeObserver(() => this.resized()).observe(at("map"));
    this.dragging();
    this.legend();
  },

  key(event) {
    const inside = event.target.closest?.("input, select, textarea, dialog");
    if (inside || event.ctrlKey || event.metaKey || event.altKey) return;
    const onMap = event.target.closest?.("#map canvas"), onButton = event.target.closest?.("button, [role=slider], [role=scrollbar]");
    const step = (event.shiftKey ? 10 : 1) * this.courses[0].frameS;
    const keys = {
      " ": () => this.play(!this.playing), k: () => this.play(!this.playing),
      ArrowLeft: () => this.seek(this.timeS - step), ArrowRight: () => this.seek(this.timeS + step),
      Home: () => this.seek(0), End: () => this.seek(Infinity),
      "[": () => this.faster(-1), "]": () => this.faster(1),
      n: () => this.nextMove(1), p: () => this.nextMove(-1),
      b: () => this.beside(), f: () => this.user !== null && this.pursuing(!this.follow), v: () => this.tilt(!this.flat), w: () => this.overview(),
      c: () => this.paint(nextOf(Object.keys(COLOURINGS), this.colouring)), t: () => this.setTheme(this.dark() ? "light" : "dark"),
      "/": () => at("find").focus(), u: () => at("users").focus(), l: () => this.copyLink(), "?": () => at("keys").showModal(),
      Escape: () => (this.boxed(false), this.select([]), this.choose({})),
    };
    if (!(event.key in keys)) return;
    if (onButton && [" ", "ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return; // Its own.
    if (onMap && event.key.startsWith("Arrow")) return; // They move the map.
    event.preventDefault();
    keys[event.key]();
  },

  async compare(a, b) {
    if (a === b) b = null;
    await this.load(a);
    if (b !== null) await this.load(b);
    this.change({ a, b });
    at("policy-a").value = String(a);
    at("policy-b").value = b === null ? "" : String(b);
    this.city.layout = "";
    this.overview();
    this.settle();
  },

  beside() {
    const other = this.b !== null ? null : this.courses.findIndex((_, i) => i !== this.a);
    return this.compare(this.a, other === -1 ? null : other);
  },

  paint(colouring) {
    at("colour").value = colouring;
    this.change({ colouring });
    this.legend();
  },

  pursuing(on) {
    this.change({ follow: on });
    if (on) this.city.view = { ...this.city.view, zoom: Math.max(this.city.view.zoom, this.city.whole().zoom + 1.2) };
    at("follow").setAttribute("aria-pressed", on);
  },

  tilt(on) {
    this.flat = on;
    const { rotationX, rotationOrbit } = this.city.whole();
    this.city.view = { ...this.city.view, rotationX, rotationOrbit };
    at("flat").setAttribute("aria-pressed", on);
    this.change();
  },

  overview() {
    this.pursuing(false);
    this.city.view = this.city.whole();
    this.change();
  },

  boxed(on) {
    this.boxing = on;
    at("box").setAttribute("aria-pressed", on);
    at("map").classList.toggle("boxing", on);
  },

  // Shift and drag, or the button and drag: the users in the rectangle.
  dragging() {
    const map = at("map"), frame = at("frame");
    let from = null;
    const where = (event) => {
      const box = map.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const corner = (event) => {
      const [x, y] = where(event);
      return { left: Math.min(x, from[0]), top: Math.min(y, from[1]), width: Math.abs(x - from[0]), height: Math.abs(y - from[1]) };
    };
    map.addEventListener("pointerdown", (event) => {
      if (!(event.shiftKey || this.boxing) || event.target.closest(".deck-widget")) return;
      event.stopPropagation();
      event.preventDefault();
      from = where(event);
      map.setPointerCapture(event.pointerId);
    }, true);
    map.addEventListener("pointermove", (event) => {
      if (!from) return;
      event.stopPropagation();
      const box = corner(event);
      frame.hidden = false;
      for (const [side, value] of Object.entries(box)) frame.style[side] = `${value}px`;
    }, true);
    map.addEventListener("pointerup", (event) => {
      if (!from) return;
      event.stopPropagation();
      this.select(this.inside(corner(event)));
      from = null;
      frame.hidden = true;
      this.boxed(false);
    }, true);
  },

  inside({ left, top, width, height }) {
    const found = [], views = this.city.deck.getViewports();
    this.sides().forEach((course, i) => {
      const view = views[i], { place } = course.drawing;
      for (let row = 0; view && row < course.users; row++) {
        if (place[2 * row] > 1e8) continue;
        const [x, y] = view.project([place[2 * row], place[2 * row + 1], 0]);
        const px = x + view.x, py = y + view.y;
        if (px >= left && px <= left + width && py >= top && py <= top + height && view.containsPixel({ x: px, y: py })) found.push(row);
      }
    });
    return [...new Set(found)].sort((a, b) => a - b);
  },

  // Rows of users that are typed: 3, 7-12.
  rowsOf(text) {
    const ids = this.courses[0].header.user_id, found = new Set();
    for (const part of text.split(/[\s,]+/).filter(Boolean)) {
      const [low, high] = part.split("-");
      ids.forEach((id, row) => {
        const named = this.naming("user", id);
        if (part === String(id) || part === named || (high !== undefined && Number(id) >= Number(low) && Number(id) <= Number(high))) found.add(row);
      });
    }
    return [...found].sort((a, b) => a - b);
  },

  find(text) {
    const course = this.courses[0], wanted = text.trim();
    const server = wanted.match(/^s(?:erver)?\s*(\d+)$/i), number = wanted.replace(/^u(?:ser)?\s*(?=\d)/i, "");
    if (server && Number(server[1]) < course.servers) return this.choose({ server: Number(server[1]) });
    const row = course.header.user_id.findIndex((id) => String(id) === number || this.naming("user", id) === wanted);
    if (row >= 0) return this.choose({ user: row });
    const named = course.header.server_station.findIndex((at) => course.header.station_id[at] === wanted);
    if (named >= 0) return this.choose({ server: named });
    this.say("status", wanted ? `No user or server is called ${wanted}.` : "");
    if (!wanted) this.choose({});
  },

  nextMove(way) {
    const times = [...new Set(this.sides().flatMap((c) => c.moves.tick.map((tick) => tick * c.header.tick_s)))].sort((a, b) => a - b);
    const next = way > 0 ? times.find((v) => v > this.timeS + 1e-6) : times.findLast((v) => v < this.timeS - 1e-6);
    if (next !== undefined) this.seek(next);
  },

  // The timeline is deck.gl's; it is told what it is, and gets marks.
  label() {
    const range = at("time").querySelector("[role=scrollbar], [role=slider]");
    if (range) {
      range.setAttribute("role", "slider"); // What moves a moment and no page is a slider.
      range.setAttribute("aria-label", "time");
      range.setAttribute("aria-valuetext", this.clock(this.timeS));
    }
    for (const handle of document.querySelectorAll(".deck-widget-splitter-handle")) handle.setAttribute("aria-hidden", "true");
    const canvas = at("map").querySelector("canvas");
    if (canvas && !canvas.hasAttribute("aria-label")) {
      canvas.setAttribute("role", "application");
      canvas.setAttribute("aria-label", "Map of users, servers and migrations. Arrow keys move it, plus and minus zoom. All it shows is in the tables and stories beside it.");
      canvas.tabIndex = 0;
    }
  },

  marksOfTime() {
    const canvas = at("marks"), wide = canvas.clientWidth, high = canvas.clientHeight, scale = window.devicePixelRatio || 1;
    if (!wide) return;
    canvas.width = wide * scale;
    canvas.height = high * scale;
    const ctx = canvas.getContext("2d"), bins = Math.min(240, Math.floor(wide / 3)), durationS = this.courses[0].header.duration_s;
    ctx.scale(scale, scale);
    const sides = this.sides(), counts = sides.map((course) => {
      const held = new Array(bins).fill(0);
      course.sums.migrations?.forEach((n, k) => (held[Math.min(bins - 1, Math.floor((((k + 0.5) * course.frameS) / durationS) * bins))] += n));
      return held;
    });
    const most = Math.max(1, ...counts.flat()), band = high / sides.length;
    counts.forEach((held, i) => held.forEach((n, bin) => {
      const tall = n ? Math.max(2, (band - 2) * Math.sqrt(n / most)) : 0;
      ctx.fillStyle = css(SIDES[i], 0.85);
      ctx.fillRect((bin * wide) / bins, band * (i + 1) - tall, Math.max(1, wide / bins - 1), tall);
    }));
    ctx.fillStyle = "#e11d48";
    sides.forEach((course) => course.failures().forEach(({ timeS }) => ctx.fillRect((timeS / durationS) * wide - 1, 0, 2, high)));
    const failures = sides[0].failures().length;
    at("marks").setAttribute("aria-label", `Migrations over time: ${sides.map((c) => `${c.policy} ${c.migrations(0, c.endS)}`).join(", ")}${failures ? `; ${failures} failures of servers` : ""}`);
  },

  legend() {
    const by = COLOURINGS[this.colouring], bar = at("legend");
    const gradient = WARM.map((rgb, i) => `${css(rgb)} ${(100 * i) / (WARM.length - 1)}%`).join(",");
    const scale = (from, to) => [element("span", {}, from), element("i", { class: "ramp", style: `background:linear-gradient(90deg,${gradient})` }), element("span", {}, to)];
    const line = (...parts) => element("p", {}, ...parts);
    bar.replaceChildren(
      line(element("b", {}, "users "), by.label, ...(by.ends ? scale(...by.ends) : [])),
      line(element("b", {}, "servers "), "height and colour: load", ...scale("0", "1.5")),
      line(element("i", { class: "arc" }), "a migration", ...(this.courses.some((c) => c.has("price_s")) ? [element("i", { class: "ring" }), "price"] : []), element("i", { class: "stop" }), "standing still"),
    );
  },

  resized() {
    this.marksOfTime();
    if (this.city.layout !== "single" && this.city.layout !== (this.city.stacked() ? "stacked" : "beside")) this.change();
    if (!this.touched) this.city.view = this.city.whole();
    this.dirty = true;
  },

  settle() {
    this.sides().forEach((course, i) => this.say(`label-${i}`, course.policy));
    this.marksOfTime();
    this.change();
  },

  // What is shown, in the address: whoever opens it sees the same.
  remember() {
    const { view } = this.city; // Users by row: names may hold anything.
    const told = {
      run: this.page.run, t: this.timeS.toFixed(3).replace(/\.?0+$/, ""), a: this.courses[this.a].policy, b: this.b === null ? "" : this.courses[this.b].policy,
      c: this.colouring, u: this.user ?? "", s: this.server ?? "", sel: [...this.selected].join("."),
      f: this.follow ? 1 : "", x: this.speed, flat: this.flat ? 1 : "", theme: document.documentElement.dataset.theme,
      v: [...view.target.slice(0, 2), view.zoom, view.rotationX, view.rotationOrbit].map((n) => Number(n.toFixed(3))).join(","),
    };
    const hash = `#${new URLSearchParams(Object.entries(told).filter(([, value]) => value !== ""))}`;
    if (hash === this.written) return;
    this.written = hash;
    try {
      history.replaceState(null, "", hash);
    } catch { /* In a frame without an address there is no link to keep. */ }
  },

  restore() {
    const told = new URLSearchParams(location.hash.slice(1)), of = (name) => this.courses.findIndex((c) => c.policy === told.get(name));
    const dark = told.get("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = dark === "dark" ? "dark" : "light";
    if (told.get("run") && told.get("run") !== this.page.run) {
      this.say("status", "The link was made for another run: what it names may differ here.");
    }
    const row = (text) => (/^\d+$/.test(text ?? "") && Number(text) < this.courses[0].users ? Number(text) : -1);
    if (of("a") >= 0) this.a = of("a");
    this.b = of("b") >= 0 && of("b") !== this.a ? of("b") : !told.has("run") && this.page.beside !== undefined ? this.page.beside : null;
    if (!told.has("run")) return;
    this.timeS = Math.min(Math.max(Number(told.get("t")) || 0, 0), this.courses[0].header.duration_s);
    if (told.get("c") in COLOURINGS) this.colouring = told.get("c");
    if (SPEEDS.includes(Number(told.get("x")))) this.speed = Number(told.get("x"));
    this.user = row(told.get("u")) >= 0 ? row(told.get("u")) : null;
    this.server = told.has("s") && Number(told.get("s")) < this.courses[0].servers ? Math.max(0, Math.floor(Number(told.get("s")) || 0)) : null;
    this.selected = new Set((told.get("sel") ?? "").split(".").map(row).filter((r) => r >= 0));
    this.follow = told.has("f") && this.user !== null;
    this.flat = told.has("flat");
    const v = (told.get("v") ?? "").split(",").map(Number);
    if (v.length === 5 && v.every(Number.isFinite)) {
      const view = { target: [v[0], v[1], 0], zoom: v[2], rotationX: v[3], rotationOrbit: v[4] };
      this.touched = true;
      if (this.city) Object.assign(this.city.view, view);
      else this.wanted = { view };
    }
  },

  async copyLink() {
    this.remember();
    const link = location.href;
    try {
      await navigator.clipboard.writeText(link);
      this.say("status", "link copied: it restores run, time, view and selection");
    } catch {
      this.say("status", `link: ${link}`);
    }
  },

  // A run under way: what has been added since is fetched.
  async listen() {
    for (;;) {
      await new Promise((done) => setTimeout(done, 2000));
      const query = new URLSearchParams(this.courses.map((c, i) => [c.policy, this.page.replays[i].blocks.length]));
      const answer = await fetch(`blocks?${query}`).then((r) => r.json()).catch(() => null);
      if (!answer) continue;
      if (answer.policies.length !== this.courses.length) this.say("status", "More policies are here: open the page again to see them.");
      for (const [i, { blocks }] of answer.replays.entries()) {
        if (i < this.courses.length) this.page.replays[i].blocks.push(...blocks);
      }
      const before = this.sides().map((c) => c.blocks).join();
      for (const i of this.b === null ? [this.a] : [this.a, this.b]) await this.load(i);
      if (before !== this.sides().map((c) => c.blocks).join()) this.settle();
    }
  },
});

function nextOf(names, name) {
  return names[(names.indexOf(name) + 1) % names.length];
}
