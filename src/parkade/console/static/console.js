// Keeps an open page up to date: it hears that something changed, asks for the page anew, and puts
// in what is different. Rows keep their places: known ones are changed where they stand, and new
// ones wait while somebody points at the list.

const live = new EventTarget();
export { live };

const link = document.getElementById("link");
const REST_MS = 1000;
let source = null;
let askedAt = 0;
let waiting = null;

function says(state, text) {
  link.className = `link ${state}`;
  link.querySelector(".says").textContent = text;
}

function listen() {
  const wantsLot = document.getElementById("lot") !== null;
  source = new EventSource(wantsLot ? "/live?lot=true" : "/live");
  let wasLost = false;
  source.addEventListener("open", () => {
    says("live", "live");
    if (wasLost) refreshSoon();
    wasLost = false;
  });
  source.addEventListener("hello", (message) => {
    const told = JSON.parse(message.data);
    if (told.version !== document.body.dataset.version) offerReload();
    // What happened after the page was made and before this stream began is told by neither.
    if (told.sequence > Number(document.body.dataset.sequence)) refreshSoon();
  });
  source.addEventListener("lot", (message) => {
    live.dispatchEvent(new CustomEvent("lot", { detail: JSON.parse(message.data) }));
  });
  source.addEventListener("event", (message) => {
    live.dispatchEvent(new CustomEvent("event", { detail: JSON.parse(message.data) }));
    refreshSoon();
  });
  source.addEventListener("error", () => {
    wasLost = true;
    says("lost", "reconnecting");
    if (source.readyState === EventSource.CLOSED) {
      // The server answered, but not with a stream: the session may be over.
      setTimeout(async () => {
        if (await refresh()) listen();
        else setTimeout(listen, 2 * REST_MS);
      }, REST_MS);
    }
  });
}

function offerReload() {
  if (document.getElementById("stale")) return;
  const note = document.createElement("p");
  note.id = "stale";
  note.className = "stale";
  note.setAttribute("role", "status");
  const button = document.createElement("button");
  button.textContent = "Reload";
  button.addEventListener("click", () => location.reload());
  note.append("The server has a newer console. ", button);
  document.body.append(note);
}

export function refreshSoon() {
  if (waiting !== null || document.querySelector("[data-live]") === null) return;
  const rest = Math.max(0, askedAt + REST_MS - performance.now());
  waiting = setTimeout(() => {
    waiting = null;
    refresh();
  }, rest);
}

async function refresh() {
  askedAt = performance.now();
  let response;
  try {
    response = await fetch(location.href, { credentials: "same-origin" });
  } catch {
    return false;
  }
  if (response.redirected && new URL(response.url).pathname === "/login") {
    location.assign(response.url);
    return false;
  }
  if (!response.ok) return false;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const newer = fresh.getElementById(part.id);
    if (newer && !part.contains(heldInput())) patch(part, newer);
  }
  countDown();
  return true;
}

function heldInput() {
  const active = document.activeElement;
  return active && active.matches("input, select, textarea") ? active : null;
}

// Makes `old` like `newer` with as few changes as possible.
export function patch(old, newer) {
  if (old.isEqualNode(newer)) return;
  if (old.matches("[data-rows]")) return patchRows(old, newer);
  const alike =
    old.childNodes.length === newer.childNodes.length &&
    [...old.childNodes].every((node, at) => node.nodeName === newer.childNodes[at].nodeName);
  copyAttributes(old, newer);
  if (!alike) {
    const at = document.activeElement;
    const held = old.contains(at) ? at.getAttribute("href") || at.id : null;
    old.replaceChildren(...[...newer.childNodes].map((node) => document.importNode(node, true)));
    if (held) (document.getElementById(held) || old.querySelector(`[href="${CSS.escape(held)}"]`))?.focus();
    return;
  }
  [...old.childNodes].forEach((node, at) => {
    const other = newer.childNodes[at];
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.data !== other.data) node.data = other.data;
    } else if (node.nodeType === Node.ELEMENT_NODE) patch(node, other);
  });
}

function copyAttributes(old, newer) {
  // What a person has opened stays open.
  const isKept = (name) => name === "open" && old.matches("details");
  for (const { name } of [...old.attributes]) if (!newer.hasAttribute(name) && !isKept(name)) old.removeAttribute(name);
  for (const { name, value } of newer.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

function patchRows(old, newer) {
  for (const row of newer.children) {
    const known = row.id && document.getElementById(row.id);
    if (known) patch(known, row);
  }
  const isBusy = old.matches(":hover") || old.contains(document.activeElement);
  const same = [...newer.children].map((row) => row.id).join() === [...old.children].map((row) => row.id).join();
  if (same) return;
  if (isBusy) {
    const later = () => refreshSoon();
    old.addEventListener("pointerleave", later, { once: true });
    old.addEventListener("focusout", later, { once: true });
    return;
  }
  old.replaceChildren(...[...newer.children].map((row) => document.getElementById(row.id) || document.importNode(row, true)));
}

export function span(seconds) {
  if (seconds <= 0) return "now";
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function countDown() {
  for (const each of document.querySelectorAll("[data-until]")) {
    each.textContent = span(Number(each.dataset.until) - Date.now() / 1000);
  }
}

document.querySelector("nav a[aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
// A week that is wider than the screen begins at now.
const weeks = document.querySelector(".weeks.by-week");
const present = weeks?.querySelector(".now");
if (present) weeks.scrollLeft += present.getBoundingClientRect().left - weeks.getBoundingClientRect().left - 48;
const everyS = Number(document.body.dataset.every || 0);
if (everyS) {
  // The user may not hear of events: what it may see is asked for again and again.
  says("live", `every ${everyS} s`);
  setInterval(async () => ((await refresh()) ? says("live", `every ${everyS} s`) : says("lost", "no answer")), everyS * 1000);
} else {
  says("", "connecting");
  listen();
}
countDown();
setInterval(countDown, 1000);
