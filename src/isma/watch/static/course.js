// A replay's course as typed arrays (docs/replay-format.md): frames in a row, the rows of a frame together.
"use strict";

const LEAST = 1e-9; // Value below the first step of a logarithmic column.
const PER_DECADE = 1000;
const ABSENT = 0, SERVED = 1, STOPPED = 2;

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

async function inflated(bytes, format) {
  const { readable, writable } = new DecompressionStream(format), writer = writable.getWriter();
  const written = Promise.all([writer.write(bytes), writer.close()]);
  const [whole] = await Promise.all([new Response(readable).arrayBuffer(), written]);
  return new Uint8Array(whole);
}

// Whole numbers of a column: bytes apart, differences from frame to frame.
async function unpacked(text, frames) {
  const apart = await inflated(bytesOf(text), "deflate");
  const count = apart.length / 4, rows = count / frames, whole = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    whole[i] = apart[i] | (apart[count + i] << 8) | (apart[2 * count + i] << 16) | (apart[3 * count + i] << 24);
  }
  for (let i = rows; i < count; i++) whole[i] += whole[i - rows];
  return whole;
}

class Course {
  constructor(header) {
    this.header = header;
    this.policy = header.policy;
    this.users = header.user_id.length;
    this.servers = header.server_station.length;
    this.frameS = header.frame_s;
    this.capacity = Math.ceil(header.duration_s / header.frame_s - 1e-9);
    this.frames = 0; // That are here; fewer than the capacity while a run is under way.
    this.blocks = 0;
    this.columns = {};
    this.sums = {};
    this.moves = { tick: [], user: [], source: [], target: [] };
    for (const [name, column] of Object.entries(header.columns)) {
      if (column.rows !== "migrations") this.columns[name] = new Int32Array(this.capacity * this.rows(column));
    }
  }

  rows(column) {
    return column.rows === "users" ? this.users : this.servers;
  }

  async add(block) {
    for (const [name, text] of Object.entries(block.columns)) {
      const column = this.header.columns[name];
      if (!column) continue;
      const moves = column.rows === "migrations";
      const whole = await unpacked(text, moves ? 1 : block.frames);
      if (moves) for (const value of whole) this.moves[name].push(value);
      else this.columns[name].set(whole, block.first * this.rows(column));
    }
    for (const [name, values] of Object.entries(block.sums)) (this.sums[name] ??= []).push(...values);
    this.frames = block.first + block.frames;
    this.blocks += 1;
  }

  has(name) {
    return name in this.columns;
  }

  value(name, row, frame) {
    const column = this.header.columns[name];
    const whole = this.columns[name][frame * this.rows(column) + row];
    if (column.scale === "linear") return whole * column.step;
    return whole > 0 ? LEAST * 10 ** (whole / PER_DECADE) : 0;
  }

  get endS() {
    return Math.min(this.frames * this.frameS, this.header.duration_s);
  }

  // Frame that has ended last at a time, and how far the next one is.
  at(timeS) {
    const exact = Math.min(Math.max(timeS / this.frameS - 1, 0), Math.max(this.frames - 1, 0));
    const frame = Math.floor(exact + 1e-6);
    return { frame, part: Math.max(0, exact - frame) };
  }

  // Positions between two frames, x and y by turns; a user that is absent is far outside.
  place(timeS, into) {
    const { frame, part } = this.at(timeS), n = this.users, c = this.columns, h = this.header.columns;
    const here = frame * n, ahead = Math.min(frame + 1, this.frames - 1) * n;
    const step = h.x_m.step;
    for (let i = 0; i < n; i++) {
      if (c.state[here + i] === ABSENT) {
        into[2 * i] = into[2 * i + 1] = 1e9;
        continue;
      }
      const x = c.x_m[here + i], y = c.y_m[here + i], on = c.state[ahead + i] === ABSENT ? 0 : part;
      into[2 * i] = (x + (c.x_m[ahead + i] - x) * on) * step;
      into[2 * i + 1] = (y + (c.y_m[ahead + i] - y) * on) * step;
    }
    return frame;
  }

  // Number of migrations up to a time, from a time on.
  movesBefore(timeS) {
    const tick = this.moves.tick, until = timeS / this.header.tick_s - 1e-6;
    let low = 0, high = tick.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (tick[middle] < until) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // Places among the migrations of those of a user.
  movesOfUser(row) {
    if (!this.byUser || this.byUser.count !== this.moves.user.length) {
      this.byUser = { count: this.moves.user.length, of: new Map() };
      this.moves.user.forEach((user, i) => {
        if (!this.byUser.of.has(user)) this.byUser.of.set(user, []);
        this.byUser.of.get(user).push(i);
      });
    }
    return this.byUser.of.get(row) ?? [];
  }

  movesOf(row, frame) {
    const end = this.movesBefore((frame + 1) * this.frameS);
    let sum = 0;
    for (const i of this.movesOfUser(row)) sum += i < end;
    return sum;
  }

  // Migrations of all users, those without rows too, by the end of the frames up to a time.
  migrations(fromS, untilS) {
    let sum = 0;
    const first = Math.round(fromS / this.frameS), last = Math.min(Math.floor(untilS / this.frameS + 1e-6), this.frames);
    for (let k = first; k < last; k++) sum += this.sums.migrations[k];
    return sum;
  }

  // Mean delay of the tasks of some frames: of all users, exactly, or of some.
  meanDelay(first, last, users) {
    let time = 0, tasks = 0;
    for (let k = first; k < Math.min(last, this.frames); k++) {
      if (!users) {
        time += this.sums.time_s[k];
        tasks += this.sums.tasks[k];
        continue;
      }
      for (const row of users) {
        const held = this.columns.tasks[k * this.users + row];
        if (held) time += held * this.value("delay_s", row, k), tasks += held;
      }
    }
    return tasks ? time / tasks : null;
  }

  usersOf(server, frame) {
    const found = [], { host, state } = this.columns;
    for (let row = 0; row < this.users; row++) {
      const k = frame * this.users + row;
      if (host[k] === server && state[k] !== ABSENT) found.push(row);
    }
    return found;
  }

  // Number of users of each server.
  counts(frame) {
    const found = new Int32Array(this.servers), { host, state } = this.columns;
    for (let k = frame * this.users; k < (frame + 1) * this.users; k++) found[host[k]] += state[k] !== ABSENT;
    return found;
  }

  // Times at which servers fail.
  failures() {
    const found = [], up = this.columns.up;
    for (let k = 1; up && k < this.frames; k++) {
      for (let s = 0; s < this.servers; s++) {
        if (up[(k - 1) * this.servers + s] && !up[k * this.servers + s]) found.push({ timeS: (k + 1) * this.frameS, server: s });
      }
    }
    return found;
  }

  station(server) {
    const at = this.header.server_station[server];
    return [this.header.station_x_m[at], this.header.station_y_m[at]];
  }

  nameOf(server) {
    return this.header.station_id[this.header.server_station[server]];
  }
}
