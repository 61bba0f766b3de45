// Words on what is shown: numbers of the moment, servers, and the story of a user or a server.
"use strict";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null)); // Text is text: names are never markup.
  return made;
}

class Stories {
  constructor(app) {
    this.app = app;
  }

  // Numbers of the moment, a row for each policy.
  numbers() {
    const app = this.app, rows = app.sides().map((course, i) => {
      const { frame } = course.at(app.timeS), every = app.chart.every(course);
      const first = Math.floor(frame / every) * every;
      const overloaded = [...Array(course.servers).keys()].filter((s) => course.value("load", s, frame) > 1.0001).length;
      return [
        element("th", { scope: "row" }, element("i", { class: "key", style: `background:${css(SIDES[i])}` }), course.policy),
        element("td", {}, app.duration(course.meanDelay(first, first + every, app.selected.size ? [...app.selected] : null))),
        element("td", {}, String(course.migrations(0, app.timeS))),
        element("td", {}, String(overloaded)),
      ];
    });
    document.getElementById("numbers").replaceChildren(...rows.map((cells) => element("tr", {}, ...cells)));
  }

  // Servers by load, the policies side by side.
  servers() {
    const app = this.app, sides = app.sides(), course = sides[0], { frame } = course.at(app.timeS);
    const held = (this.rows ??= new Map());
    const order = [...Array(course.servers).keys()].sort((a, b) => course.value("load", b, frame) - course.value("load", a, frame) || a - b).slice(0, 60);
    const body = document.getElementById("servers"), counts = sides.map((c) => c.counts(frame));
    const rows = order.map((server) => {
      if (!held.has(server)) {
        const name = element("button", { type: "button", class: "link", onclick: () => app.choose({ server }) }, `${server}`);
        name.title = course.nameOf(server);
        const row = element("tr", {}, element("th", { scope: "row" }, name), element("td"), element("td"), element("td"));
        held.set(server, row);
      }
      const row = held.get(server), [, users, load, price] = row.children;
      row.classList.toggle("chosen", app.server === server);
      fill(users, counts.map((of) => of[server]).join(" · "));
      load.replaceChildren(...sides.map((c, i) => bar(c.value("load", server, frame), SIDES[i])));
      fill(price, sides.map((c) => (c.has("price_s") ? app.duration(c.value("price_s", server, frame)) : "–")).join(" · "));
      return row;
    });
    body.replaceChildren(...rows);
  }

  // Story of the user or server that is chosen.
  story() {
    const app = this.app, box = document.getElementById("story");
    const { frame } = app.sides()[0].at(app.timeS);
    const told = [app.user, app.server, app.mark, frame, app.sides().map((c) => c.policy + c.blocks).join()].join("|");
    if (told === this.told) return;
    this.told = told;
    const parts = app.user !== null ? app.sides().flatMap((c, i) => this.ofUser(c, i)) : app.server !== null ? app.sides().flatMap((c, i) => this.ofServer(c, i)) : [
      element("p", { class: "soft" }, "Click a user or a server, or type its number above. Shift and drag selects users: the chart is then theirs alone."),
    ];
    const id = app.user !== null ? app.courses[0].header.user_id[app.user] : null;
    const title = app.user !== null ? `User ${app.naming("user", id)}` : app.server !== null ? `Server ${app.server} · ${app.courses[0].nameOf(app.server)}` : "Stories";
    document.getElementById("story-title").textContent = title;
    box.replaceChildren(...parts);
  }

  ofUser(course, side) {
    const app = this.app, row = app.user, { frame } = course.at(app.timeS), k = frame * course.users + row;
    const c = course.columns, state = c.state[k];
    const at = `at station ${course.header.station_id[c.station[k]]}`;
    const now = state === ABSENT ? "Not there now." :
      `${capital(at)}, served by server ${c.host[k]}${state === STOPPED ? ", its service standing still" : ""}; offloads ${percent(course.value("offload_ratio", row, frame))} of each task, has ${percent(course.value("granted_share", row, frame))} of that server's CPU. Delay ${app.duration(course.value("delay_s", row, frame))}, deadline ${app.duration(course.header.deadline_s[row])}.`;
    const moves = course.movesOfUser(row), until = course.movesBefore(app.timeS + 1e-6);
    const so = moves.filter((i) => i < until).length;
    return [
      this.head(course, side),
      element("p", {}, now),
      element("p", {}, `${so} of ${moves.length} migrations so far.`),
      element("ol", { class: "events" }, ...around(moves, so).map((i) => this.move(course, i, row))),
      this.why(course, row),
    ];
  }

  ofServer(course, side) {
    const app = this.app, { frame } = course.at(app.timeS), server = app.server;
    const users = course.usersOf(server, frame), until = course.movesBefore(app.timeS + 1e-6);
    const moves = course.moves.tick.map((_, i) => i).filter((i) => course.moves.source[i] === server || course.moves.target[i] === server);
    const so = moves.filter((i) => i < until).length;
    const priced = course.has("price_s") ? `, price ${app.duration(course.value("price_s", server, frame))} a unit of CPU` : "";
    const down = course.has("up") && !course.columns.up[frame * course.servers + server] ? " It has failed." : "";
    return [
      this.head(course, side),
      element("p", {}, `Load ${course.value("load", server, frame).toFixed(2)}${priced}.${down} Serves ${users.length} users:`),
      element("p", { class: "users" }, ...users.slice(0, 80).flatMap((row) => [
        element("button", { type: "button", class: "link", onclick: () => app.choose({ user: row }) }, app.naming("user", course.header.user_id[row])), " ",
      ]), users.length > 80 ? "…" : ""),
      element("p", {}, `${so} of ${moves.length} migrations from or to it so far.`),
      element("ol", { class: "events" }, ...around(moves, so).map((i) => this.move(course, i, course.moves.user[i]))),
    ];
  }

  head(course, side) {
    return element("h3", {}, element("i", { class: "key", style: `background:${css(SIDES[side])}` }), course.policy);
  }

  move(course, i, row) {
    const app = this.app, { moves, header } = course, timeS = moves.tick[i] * header.tick_s;
    const delays = [timeS - 10, timeS + 10].map((end) => {
      const first = Math.max(0, Math.floor((end - 10) / course.frameS)), last = Math.ceil((end + 1e-6) / course.frameS);
      return app.duration(course.meanDelay(Math.max(first, 0), last, [row]));
    });
    const past = timeS <= app.timeS + 1e-6;
    return element("li", { class: past ? "" : "soft" },
      element("button", { type: "button", class: "link", onclick: () => app.seek(timeS) }, app.clock(timeS)),
      ` ${app.user === null ? `user ${app.naming("user", header.user_id[row])} ` : ""}${moves.source[i]} → ${moves.target[i]}, delay ${delays[0]} before, ${delays[1]} after`);
  }

  // The decision's explanation: from the server that this page came from, or as a command.
  why(course, row) {
    const app = this.app, user = course.header.user_id[row], timeS = Math.max(0, Math.floor(app.timeS * 10) / 10);
    const known = app.page.explanations?.[`${course.policy} ${user} ${timeS}`];
    const box = element("div", { class: "why", "aria-live": "polite" });
    if (known) box.append(...known.map((line) => element("p", {}, line)));
    else if (app.page.live) {
      box.append(element("button", { type: "button", onclick: async (event) => {
        event.target.disabled = true;
        event.target.textContent = "running the world again …";
        const query = new URLSearchParams({ policy: course.policy, user, time: timeS });
        const answer = await fetch(`explain?${query}`).then((r) => r.json()).catch(() => ({ error: "the server does not answer" }));
        box.replaceChildren(...(answer.error ? [element("p", {}, answer.error)] : [
          element("ul", {}, ...answer.why.map((line) => element("li", {}, line))), this.choices(answer.choices),
        ]));
      } }, "Why? Explain the next decision"));
    } else {
      const command = `isma explain ${app.page.folder} --user ${user} --time ${timeS}s --policy ${course.policy}`;
      box.append(element("p", { class: "soft" }, "Why? "), element("code", { tabindex: "0" }, command));
    }
    return box;
  }

  choices(choices) {
    const app = this.app, head = ["server", "hops", "load", "own", "others", "later", "together"];
    return element("table", {}, element("thead", {}, element("tr", {}, ...head.map((h) => element("th", { scope: "col" }, h)))),
      element("tbody", {}, ...choices.slice(0, 6).map((c) => element("tr", {}, element("td", {}, `${c.server}${c.mark}`), element("td", {}, String(c.hops)),
        element("td", {}, c.load.toFixed(2)), ...[c.own_s, c.others_s, c.later_s, c.cost_s].map((v) => element("td", {}, app.duration(v)))))));
  }
}

function around(moves, so) {
  const first = Math.max(0, so - 5);
  return moves.slice(first, first + 9);
}

function bar(load, rgb) {
  const box = element("span", { class: "bar", title: load.toFixed(3) }), part = element("i");
  part.style.width = `${Math.min(load / 1.5, 1) * 100}%`;
  part.style.background = css(rgb);
  box.append(part, element("b", {}, load.toFixed(2)));
  return box;
}

function fill(cell, text) {
  if (cell.textContent !== text) cell.textContent = text;
}

function percent(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}
