// The seat map: fabrics as car parks, nodes as bays of stalls, a stall for each GPU.
//
// Stalls are laid out once for a size of the canvas, in units of one stall's width; drawing and
// finding what lies under the pointer both go by that layout. Only what is in sight is drawn, and
// from far away neighbours of one holder are one rectangle, so that 100,000 stalls stay quick.

import { live, span } from "./console.js";

const canvas = document.getElementById("lot");
const pen = canvas.getContext("2d");
const card = document.getElementById("seat");
const hint = card.firstElementChild;
const orgs = new Map(JSON.parse(document.getElementById("orgs").textContent).map((each) => [each.org, each]));
const BAY = 2, LANE = 1.5, TITLE = 1.7, GAP = 0.9, BETWEEN = 1.6, MARGIN = 0.8;

let nodes = new Map(), holders = new Map(), buffers = new Map(), offered = new Map(), kept = new Map();
let fabrics = [], places = new Map(), fitted = 10, size = { width: 0, height: 0 };
let view = { x: 0, y: 0, zoom: 1 };
const NONE = {};
let hasLent = false, empty = new Set(), reserved = new Set();
let cursor = null, hovered = false, colours = {}, hatch = null, faint = null, dots = null, isDirty = false, moved = null;

// ---------------------------------------------------------------- what is known

live.addEventListener("lot", (event) => {
  const told = event.detail;
  if (told.whole) {
    nodes = new Map();
    holders = new Map();
    buffers = new Map();
    offered = new Map();
    kept = new Map();
  }
  for (const each of told.nodes) nodes.set(each.n, each);
  for (const each of told.holders) holders.set(each.h, each);
  for (const each of told.gone) holders.delete(each);
  for (const [market, fabric, buffer, lent, keeps] of told.fabrics) {
    buffers.set(`${market} › ${fabric}`, buffer);
    offered.set(`${market} › ${fabric}`, lent);
    kept.set(`${market} › ${fabric}`, keeps);
  }
  countLent(told.nodes);
  if (told.whole) layOut();
  markOffered();
  canvas.hidden = nodes.size === 0;
  document.getElementById("lot-empty").hidden = nodes.size > 0;
  canvas.dataset.nodes = nodes.size;
  canvas.dataset.offered = [...empty].join(" ");
  canvas.dataset.kept = [...reserved].join(" ");
  canvas.dataset.told = told.at;
  describe();
  draw();
});

// Of a guest's cars as many are hatched as owners lend it; which of them they are is not known.
function countLent(told) {
  const left = new Map([...holders.values()].filter((each) => each.lent > 0).map((each) => [each.h, each.lent]));
  if (left.size === 0 && !hasLent) {
    for (const node of told) node.lent = NONE;
    return;
  }
  hasLent = left.size > 0;
  for (const node of nodes.values()) {
    node.lent = {};
    for (const [holder, count] of node.s) {
      const some = Math.min(count, left.get(holder) || 0);
      if (some) left.set(holder, left.get(holder) - some);
      node.lent[holder] = some;
    }
  }
}

// Of what owners lend, and no guest has, as many empty bays are hatched, and of what they keep as
// many are dotted; which of them they are is decided when an owner needs them.
function markOffered() {
  empty = new Set();
  reserved = new Set();
  for (const fabric of fabrics) {
    let left = offered.get(fabric.key) || 0, keeps = kept.get(fabric.key) || 0;
    if (!left && !keeps) continue;
    const members = fabric.members.map((known) => nodes.get(known.n));
    for (const node of members) if (Object.values(node.lent || NONE).some((count) => count > 0)) left--;
    for (const node of members) {
      if (left <= 0 && keeps <= 0) break;
      if (node.st !== "open" || node.s.length || node.p.length) continue;
      if (left > 0) {
        empty.add(node.n);
        left--;
      } else {
        reserved.add(node.n);
        keeps--;
      }
    }
  }
}

function colourOf(org) {
  const known = orgs.get(org);
  return known ? colours[`c${known.colour}`] : colours.soft;
}

// Each stall of a node: [holder or null, is promised].
function stalls(node) {
  const found = [];
  for (const [holder, count] of node.s) for (let at = 0; at < count; at++) found.push([holder, false]);
  for (const [holder, count] of node.p) {
    for (let at = 0; at < count && found.length < node.g; at++) found.push([holder, true]);
  }
  while (found.length < node.g) found.push([null, false]);
  return found.slice(0, node.g);
}

// ---------------------------------------------------------------- layout

function layOut() {
  const most = innerWidth <= 520 ? 560 : 416;
  size = { width: canvas.getBoundingClientRect().width, height: most };
  const byFabric = new Map();
  for (const node of nodes.values()) {
    const key = `${node.m} › ${node.f}`;
    if (!byFabric.has(key)) byFabric.set(key, []);
    byFabric.get(key).push(node);
  }
  const shapes = [...byFabric].map(([key, members]) => ({ key, members, wide: Math.max(...members.map((each) => each.g)) + GAP }));
  for (let pitch = 28; ; pitch *= 0.94) {
    const { height, at } = arrange(shapes, size.width / pitch);
    if (height * pitch <= most || pitch < 1.2) {
      fitted = pitch;
      place(at);
      size.height = Math.round(Math.max(96, Math.min(most, height * pitch)));
      break;
    }
  }
  const ratio = window.devicePixelRatio || 1;
  canvas.style.height = `${size.height}px`;
  canvas.width = Math.round(size.width * ratio);
  canvas.height = Math.round(size.height * ratio);
  view = { x: 0, y: 0, zoom: 1 };
}

// Where fabrics come to stand in lines of this width, and the height that it takes; nodes are not
// looked at, since many widths are tried.
function arrange(shapes, width) {
  const found = [];
  let x = MARGIN, y = MARGIN / 2, tallest = 0;
  for (const { key, members, wide } of shapes) {
    const room = Math.max(1, Math.floor((width - 2 * MARGIN) / wide));
    const across = Math.min(room, Math.max(1, Math.ceil(members.length / 2)));
    const rows = Math.ceil(members.length / across);
    const bays = Math.ceil(rows / 2);
    const tall = TITLE + bays * (2 * BAY + LANE) - (rows % 2 ? BAY : 0) + (bays - 1) * 0.3;
    if (x > MARGIN && x + across * wide > width - MARGIN / 2) {
      x = MARGIN;
      y += tallest + BETWEEN * 0.55;
      tallest = 0;
    }
    found.push({ key, members, wide, across, bays, x, y, height: tall });
    x += across * wide + BETWEEN;
    tallest = Math.max(tallest, tall);
  }
  return { height: y + tallest + MARGIN, at: found };
}

// Gives each node its place in fabrics that stand.
function place(found) {
  fabrics = [];
  places = new Map();
  const several = new Set(found.map((each) => each.members[0].m)).size > 1;
  for (const { key, members, wide, across, bays, x, y, height } of found) {
    const fabric = { key, title: several ? key : `fabric ${members[0].f}`, x, y, width: across * wide - GAP, height, lanes: [], members };
    members.forEach((node, at) => {
      const row = Math.floor(at / across), bay = Math.floor(row / 2);
      const top = y + TITLE + bay * (2 * BAY + LANE + 0.3) + (row % 2 ? BAY + LANE : 0);
      places.set(node.n, { x: x + (at % across) * wide, y: top, isUpper: row % 2 === 0, fabric, row, column: at % across });
    });
    for (let bay = 0; bay < bays; bay++) fabric.lanes.push(y + TITLE + bay * (2 * BAY + LANE + 0.3) + BAY);
    fabrics.push(fabric);
  }
}

// ---------------------------------------------------------------- drawing

function draw() {
  if (isDirty) return;
  isDirty = true;
  requestAnimationFrame(() => {
    isDirty = false;
    paint();
  });
}

function paint() {
  const ratio = window.devicePixelRatio || 1;
  const pitch = fitted * view.zoom;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = colours.lot;
  pen.fillRect(0, 0, size.width, size.height);
  const isNear = pitch >= 7;
  const inSight = [], seen = [];
  for (const fabric of fabrics) {
    const box = toScreen(fabric.x, fabric.y, pitch);
    if (box.y > size.height || box.y + fabric.height * pitch < 0) continue;
    if (box.x > size.width || box.x + fabric.width * pitch < 0) continue;
    seen.push(fabric);
    if (pitch >= 4) paintFabric(fabric, pitch);
    for (const known of fabric.members) {
      const node = nodes.get(known.n), place = places.get(known.n);
      const at = toScreen(place.x, place.y, pitch);
      if (at.x > size.width || at.x + node.g * pitch < 0 || at.y > size.height || at.y + BAY * pitch < 0) continue;
      inSight.push([node, place, at]);
    }
  }
  const cars = new Map(), marks = [];
  for (const [node, place, at] of inSight) {
    paintBay(node, at, pitch, isNear);
    gather(node, place, at, pitch, isNear, cars, marks);
  }
  for (const [colour, rects] of cars) {
    pen.fillStyle = colour;
    for (const [x, y, w, h] of rects) isNear ? round(x, y, w, h, Math.min(4, w / 3)) : pen.fillRect(x, y, w, h);
  }
  for (const mark of marks) mark();
  for (const fabric of seen) paintBuffer(fabric, pitch);
  for (const [node, , at] of inSight) if (node.st === "out" || node.st === "closed") paintClosed(node, at, pitch);
  paintRings(inSight, pitch);
  paintCursor(pitch);
}

function toScreen(x, y, pitch) {
  return { x: x * pitch - view.x, y: y * pitch - view.y };
}

function paintFabric(fabric, pitch) {
  const at = toScreen(fabric.x, fabric.y, pitch);
  pen.fillStyle = colours.soft;
  pen.font = `600 ${Math.max(9, Math.min(13, pitch * 0.75))}px system-ui, sans-serif`;
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  pen.fillText(clip(fabric.title, fabric.width * pitch), at.x, at.y + TITLE * pitch * 0.62);
  pen.strokeStyle = colours.paint;
  pen.lineWidth = Math.max(1, pitch * 0.07);
  pen.setLineDash([pitch * 0.7, pitch * 0.6]);
  const dash = pitch * 1.3;
  for (const lane of fabric.lanes) {
    const y = toScreen(0, lane + LANE / 2, pitch).y;
    if (y < 0 || y > size.height) continue;
    // From a dash on that is left of what is in sight: a long line of dashes is slow to draw.
    const skipped = Math.max(0, Math.floor(-at.x / dash) * dash);
    pen.beginPath();
    pen.moveTo(at.x + skipped, y);
    pen.lineTo(Math.min(size.width, at.x + fabric.width * pitch), y);
    pen.stroke();
  }
  pen.setLineDash([]);
}

function clip(text, width) {
  let shown = text;
  while (shown.length > 1 && pen.measureText(shown).width > width) shown = `${shown.slice(0, -2)}…`;
  return shown;
}

function paintBay(node, at, pitch, isNear) {
  const width = node.g * pitch, height = BAY * pitch;
  if (!isNear) {
    pen.fillStyle = colours.idle;
    pen.fillRect(at.x, at.y, width, height);
  }
  if ((empty.has(node.n) || reserved.has(node.n)) && pitch >= 3) {
    pen.fillStyle = empty.has(node.n) ? faint : dots;
    pen.fillRect(at.x, at.y, width, height);
  }
  if (!isNear) return;
  pen.strokeStyle = colours.paint;
  pen.lineWidth = Math.max(1, pitch * 0.09);
  pen.beginPath();
  for (let stall = 0; stall <= node.g; stall++) {
    const x = Math.round(at.x + stall * pitch) + 0.5;
    pen.moveTo(x, at.y);
    pen.lineTo(x, at.y + height);
  }
  pen.stroke();
}

function gather(node, place, at, pitch, isNear, cars, marks) {
  const inset = isNear ? Math.max(1, pitch * 0.14) : 0;
  const height = BAY * pitch;
  const all = stalls(node);
  for (let from = 0; from < all.length; ) {
    const [name, isPromised] = all[from];
    let to = from + 1;
    while (!isNear && to < all.length && all[to][0] === name && all[to][1] === isPromised) to++;
    if (name !== null) {
      const holder = holders.get(name);
      const colour = holder ? colourOf(holder.o) : colours.soft;
      const box = [at.x + from * pitch + inset, at.y + inset, (to - from) * pitch - 2 * inset, height - 2 * inset];
      const first = from - all.findIndex(([each]) => each === name), lent = node.lent[name] || 0;
      if (isPromised) marks.push(() => outline(box, colour, pitch));
      else {
        if (!cars.has(colour)) cars.set(colour, []);
        cars.get(colour).push(box);
        if (isNear && holder) marks.push(() => paintCar(box, holder, place, pitch, first < lent));
        else if (lent) marks.push(() => paintHatch([box[0], box[1], lent * pitch, box[3]]));
      }
    }
    from = to;
  }
}

function outline([x, y, w, h], colour, pitch) {
  pen.strokeStyle = colour;
  pen.lineWidth = Math.max(1.5, pitch * 0.12);
  pen.strokeRect(x + 1, y + 1, w - 2, h - 2);
}

function paintHatch([x, y, w, h]) {
  pen.fillStyle = hatch;
  pen.fillRect(x, y, w, h);
}

function paintCar(box, holder, place, pitch, isLent) {
  const [x, y, w, h] = box;
  if (isLent) paintHatch(box);
  if (pitch < 11) return;
  // The windscreen looks at the lane.
  pen.fillStyle = colours.glass;
  const screen = place.isUpper ? y + h * 0.68 : y + h * 0.2;
  round(x + w * 0.16, screen, w * 0.68, h * 0.12, 2);
  const known = orgs.get(holder.o);
  if (pitch < 14 || !known) return;
  const tall = Math.round(Math.min(13, pitch * 0.55)), middle = y + h / 2 + (place.isUpper ? -h * 0.08 : h * 0.08);
  if (isLent) {
    pen.fillStyle = colourOf(holder.o);
    round(x + w * 0.12, middle - tall * 0.75, w * 0.76, tall * 1.4, 3);
  }
  pen.fillStyle = known.colour === 0 || known.colour === 7 ? colours.onDeep : colours.onBright;
  pen.font = `700 ${tall}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(known.letters, x + w / 2, middle);
}

function round(x, y, w, h, radius) {
  pen.beginPath();
  pen.roundRect(x, y, w, h, Math.max(0, Math.min(radius, w / 2, h / 2)));
  pen.fill();
}

function paintBuffer(fabric, pitch) {
  let left = buffers.get(fabric.key) || 0;
  if (!left || pitch < 3) return;
  pen.strokeStyle = colours.soft;
  pen.lineWidth = 1.5;
  pen.setLineDash([5, 4]);
  for (let at = fabric.members.length - 1; at >= 0 && left > 0; at--) {
    const node = nodes.get(fabric.members[at].n);
    const isRight = node.s.some(([name]) => holders.get(name)?.use !== "spot");
    if (isRight || node.st === "out") continue;
    const place = places.get(node.n), where = toScreen(place.x, place.y, pitch);
    pen.strokeRect(where.x - 3, where.y - 3, node.g * pitch + 6, BAY * pitch + 6);
    left--;
  }
  pen.setLineDash([]);
}

function paintClosed(node, at, pitch) {
  const width = node.g * pitch, height = BAY * pitch;
  pen.globalAlpha = node.st === "out" ? 0.82 : 0.45;
  pen.fillStyle = colours.out;
  pen.fillRect(at.x, at.y, width, height);
  pen.globalAlpha = 1;
  if (pitch < 6) return;
  pen.fillStyle = colours.ink;
  pen.font = `600 ${Math.max(9, Math.min(13, pitch * 0.6))}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(clip(node.st === "out" ? node.y.split(":")[0] : "closed", width - 6), at.x + width / 2, at.y + height / 2);
}

function paintRings(inSight, pitch) {
  const now = Date.now() / 1000;
  let any = false;
  for (const [node, , at] of inSight) {
    let from = 0;
    for (const [name, count] of node.s) {
      const notice = holders.get(name)?.notice;
      if (notice) {
        any = true;
        const whole = Math.max(0.001, notice.to - notice.from);
        const share = Math.max(0, Math.min(1, (notice.to - now) / whole));
        ring(at.x + (from + count / 2) * pitch, at.y + (BAY * pitch) / 2, Math.max(4, Math.min(15, pitch * 0.8, (count * pitch) / 2)), share);
      }
      from += count;
    }
  }
  if (any && !moved) moved = setTimeout(() => {
    moved = null;
    draw();
    describe();
  }, 250);
}

function ring(x, y, radius, share) {
  pen.beginPath();
  pen.arc(x, y, radius + 2.5, 0, 2 * Math.PI);
  pen.fillStyle = colours.panel;
  pen.fill();
  pen.lineWidth = Math.max(2, radius * 0.34);
  pen.strokeStyle = colours.line;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.stroke();
  pen.strokeStyle = colours.red;
  pen.beginPath();
  pen.arc(x, y, radius, -Math.PI / 2, -Math.PI / 2 + share * 2 * Math.PI);
  pen.stroke();
}

function paintCursor(pitch) {
  if (!cursor || !nodes.has(cursor.node)) return;
  const [name] = stalls(nodes.get(cursor.node))[cursor.stall] || [null];
  pen.strokeStyle = colours.ink;
  pen.lineWidth = 2;
  if (name !== null) {
    for (const node of nodes.values()) {
      const all = stalls(node), first = all.findIndex(([each]) => each === name);
      if (first < 0) continue;
      const count = all.filter(([each]) => each === name).length;
      const place = places.get(node.n), at = toScreen(place.x + first, place.y, pitch);
      pen.strokeRect(at.x, at.y - 1, count * pitch, BAY * pitch + 2);
    }
  }
  const place = places.get(cursor.node), at = toScreen(place.x + cursor.stall, place.y, pitch);
  pen.lineWidth = 3;
  pen.strokeStyle = colours.accent;
  pen.strokeRect(at.x, at.y - 1, pitch, BAY * pitch + 2);
}

function takeColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["lot", "paint", "soft", "ink", "panel", "line", "red", "accent", "out", "idle", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  Object.assign(colours, { glass: "rgb(255 255 255 / 55%)", onBright: "#10161c", onDeep: isDark ? "#10161c" : "#ffffff" });
  hatch = stripes(isDark ? "rgb(16 20 24 / 75%)" : "rgb(255 255 255 / 80%)", 2.2);
  const grey = isDark ? "rgb(163 173 184 / 45%)" : "rgb(86 97 108 / 40%)";
  faint = stripes(grey, 1.2);
  dots = dotted(grey);
}

function stripes(colour, width) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const brush = tile.getContext("2d");
  brush.strokeStyle = colour;
  brush.lineWidth = width;
  for (const shift of [-8, 0, 8]) {
    brush.beginPath();
    brush.moveTo(shift - 1, 9);
    brush.lineTo(shift + 9, -1);
    brush.stroke();
  }
  return pen.createPattern(tile, "repeat");
}

function dotted(colour) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const brush = tile.getContext("2d");
  brush.fillStyle = colour;
  for (const [x, y] of [[2, 2], [6, 6]]) {
    brush.beginPath();
    brush.arc(x, y, 1.3, 0, 2 * Math.PI);
    brush.fill();
  }
  return pen.createPattern(tile, "repeat");
}

// ---------------------------------------------------------------- who sits there

function describe() {
  if (!cursor && card.dataset.text) {
    card.dataset.text = "";
    card.replaceChildren(hint);
  }
  if (!cursor || !nodes.has(cursor.node)) return;
  const node = nodes.get(cursor.node);
  const [name, isPromised] = stalls(node)[cursor.stall] || [null, false];
  const where = `node ${node.n}, fabric ${node.f}`;
  const lines = [];
  const holder = name === null ? null : holders.get(name);
  if (holder) {
    const title = document.createElement("p"), bold = document.createElement("b");
    if (holder.k === "workload") {
      const to = document.createElement("a");
      to.href = `/workloads/${encodeURIComponent(holder.h)}`;
      to.textContent = holder.name;
      bold.append(to);
    } else bold.append(holder.name);
    title.append(bold, ` of ${holder.o}${holder.user ? `, by ${holder.user}` : ""} · ${holder.phase ?? holder.ph} · ${holder.g} GPUs · ${where}`);
    lines.push(title);
    const pays = holder.price ? `pays ${holder.price} per GPU-hour` : holder.use === "owner" ? "sits there by right" : "pays nothing yet";
    lines.push(line(`${isPromised ? "Is promised this seat; " : ""}${pays}; ${holder.y}.`));
    if (holder.notice) lines.push(line(`Leaves in ${span(holder.notice.to - Date.now() / 1000)}: ${holder.notice.cause}.`, "broken"));
  } else {
    const isOperators = node.st !== null;
    const lends = empty.has(node.n) ? ` It stands for one of the ${offered.get(places.get(node.n).fabric.key)} nodes here that owners lend.` : "";
    const keeps = reserved.has(node.n) ? ` It stands for ${ofKept(kept.get(places.get(node.n).fabric.key))}.` : "";
    const isFree = keeps ? "empty" : "free";
    lines.push(line(isOperators ? `Seat ${cursor.stall + 1} of ${node.g} is ${isFree}: ${where}.${lends}${keeps}` : `Not your org's: ${where}.`));
  }
  if (node.y) lines.push(line(`${node.n}: ${node.y}`));
  const text = lines.map((each) => each.textContent).join("\n");
  if (card.dataset.text === text) return;
  card.dataset.text = text;
  if (card.contains(document.activeElement)) return;
  card.replaceChildren(...lines);
}

function ofKept(several) {
  return several === 1 ? "1 node here that its owner keeps" : `one of the ${several} nodes here that owners keep`;
}

function line(text, kind) {
  const made = document.createElement("p");
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function seatUnder(event) {
  const box = canvas.getBoundingClientRect(), pitch = fitted * view.zoom;
  const x = (event.clientX - box.left + view.x) / pitch, y = (event.clientY - box.top + view.y) / pitch;
  const fabric = fabrics.find((each) => x >= each.x && x <= each.x + each.width + GAP && y >= each.y && y <= each.y + each.height + BAY);
  for (const known of fabric ? fabric.members : []) {
    const place = places.get(known.n);
    if (x >= place.x && x < place.x + known.g && y >= place.y && y < place.y + BAY) return { node: known.n, stall: Math.floor(x - place.x) };
  }
  return null;
}

function pointAt(seat) {
  cursor = seat;
  describe();
  draw();
}

function open() {
  const [name] = cursor && nodes.has(cursor.node) ? stalls(nodes.get(cursor.node))[cursor.stall] : [null];
  if (name !== null && holders.get(name)?.k === "workload") location.assign(`/workloads/${encodeURIComponent(name)}`);
}

// ---------------------------------------------------------------- pointer, keys, zoom

let drag = null;
canvas.addEventListener("pointerdown", (event) => {
  drag = { x: event.clientX, y: event.clientY, view: { ...view }, isFar: false };
});
canvas.addEventListener("pointermove", (event) => {
  if (drag && event.buttons) {
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    drag.isFar ||= Math.hypot(dx, dy) > 4;
    if (drag.isFar && view.zoom > 1) {
      canvas.classList.add("grab");
      view.x = drag.view.x - dx;
      view.y = drag.view.y - dy;
      keepInside();
      draw();
    }
    return;
  }
  const seat = seatUnder(event);
  if (seat && (seat.node !== cursor?.node || seat.stall !== cursor?.stall)) pointAt(seat);
});
canvas.addEventListener("pointerup", (event) => {
  canvas.classList.remove("grab");
  const wasFar = drag?.isFar;
  drag = null;
  if (wasFar) return;
  const seat = seatUnder(event);
  if (!seat) return;
  pointAt(seat);
  if (event.pointerType === "mouse") open();
});
canvas.addEventListener("keydown", (event) => {
  const first = nodes.keys().next().value;
  if (!first) return;
  const at = cursor && nodes.has(cursor.node) ? cursor : { node: first, stall: 0 };
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key === "Enter") open();
  else if (event.key === "Escape") pointAt(null);
  else if (event.key in steps) pointAt(cursor ? next(at, ...steps[event.key]) : at);
  else if (event.key === "+") zoomBy(1.5);
  else if (event.key === "-") zoomBy(1 / 1.5);
  else return;
  event.preventDefault();
});

function next(at, dx, dy) {
  const node = nodes.get(at.node), stall = at.stall + dx;
  if (dx && stall >= 0 && stall < node.g) return { node: at.node, stall };
  const from = places.get(at.node), x = from.x + at.stall + 0.5;
  let best = null, least = Infinity;
  for (const [name, place] of places) {
    if (name === at.node) continue;
    const g = nodes.get(name).g;
    const ahead = dx ? (dx > 0 ? place.x - from.x : from.x - place.x) : (place.y - from.y) * dy;
    if (ahead <= 0.01) continue;
    const aside = dx ? Math.abs(place.y - from.y) * 4 : Math.max(0, place.x - x, x - place.x - g) * 4;
    if (ahead + aside < least) {
      least = ahead + aside;
      best = { node: name, stall: dx ? (dx > 0 ? 0 : g - 1) : Math.min(g - 1, Math.max(0, Math.floor(x - place.x))) };
    }
  }
  return best || at;
}

function zoomBy(factor, at = { x: size.width / 2, y: size.height / 2 }) {
  const zoom = Math.max(1, Math.min(24 / fitted + 4, view.zoom * factor)), change = zoom / view.zoom;
  view = { x: (view.x + at.x) * change - at.x, y: (view.y + at.y) * change - at.y, zoom };
  canvas.style.touchAction = zoom > 1 ? "none" : "";
  keepInside();
  draw();
}

function keepInside() {
  view.x = Math.max(0, Math.min(view.x, size.width * (view.zoom - 1)));
  view.y = Math.max(0, Math.min(view.y, size.height * (view.zoom - 1)));
}

canvas.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && view.zoom === 1) return;
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoomBy(Math.exp(-event.deltaY / 300), { x: event.clientX - box.left, y: event.clientY - box.top });
}, { passive: false });
document.getElementById("closer").addEventListener("click", () => zoomBy(1.5));
document.getElementById("farther").addEventListener("click", () => zoomBy(1 / 1.5));
document.getElementById("fit").addEventListener("click", () => zoomBy(1 / view.zoom));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  takeColours();
  draw();
});
new ResizeObserver(() => {
  const box = canvas.getBoundingClientRect();
  if (box.width === size.width) return;
  takeColours();
  layOut();
  draw();
}).observe(canvas);
takeColours();
