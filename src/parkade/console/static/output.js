// Follows what a rank prints. The text is put in as text; control sequences are left out.

import { live } from "./console.js";

const place = document.getElementById("output");
const rank = document.getElementById("rank");
const since = document.getElementById("since");
const attempt = document.getElementById("attempt");
const plain = document.getElementById("plain");
const own = place.dataset.url.split("/")[2];
const MOST = 200_000;
let reader = null;
let returns = "";
let generation = 0;

async function follow() {
  const mine = ++generation;
  reader?.cancel().catch(() => {});
  place.textContent = returns = "";
  const chosen = new URLSearchParams({ rank: Number(rank.value) || 0, since: since.value });
  if (attempt.value) chosen.set("attempt", `${own}.${attempt.value}`);
  plain.href = `${place.dataset.url}?${chosen}`;
  if (place.dataset.attempt === "0") {
    place.textContent = "It has not begun.";
    return;
  }
  let response;
  try {
    response = await fetch(`${plain.href}&follow=true`);
  } catch {
    return later(mine);
  }
  if (!response.ok) {
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    place.textContent = page.querySelector(".refused")?.textContent || "no output";
    return;
  }
  reader = response.body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done || mine !== generation) break;
      show(decoder.decode(value, { stream: true }));
    }
  } catch {
    later(mine);
  }
}

function later(mine) {
  setTimeout(() => mine === generation && follow(), 2000);
}

function show(text) {
  const isAtEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
  const plain = text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "").replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g, "");
  append(returns + plain);
  if (place.textContent.length > MOST) place.textContent = place.textContent.slice(-MOST / 2);
  if (isAtEnd) place.scrollTop = place.scrollHeight;
}

// A carriage return begins its line anew, as on a terminal: a progress bar is one line. One at the
// end waits for what comes next.
function append(text) {
  returns = /\r*$/.exec(text)[0];
  const lines = text.slice(0, text.length - returns.length).replace(/\r+\n/g, "\n").split("\n");
  if (lines[0].includes("\r")) {
    const before = place.textContent;
    place.textContent = before.slice(0, before.lastIndexOf("\n") + 1);
  }
  place.append(lines.map((line) => line.slice(line.lastIndexOf("\r") + 1)).join("\n"));
}

for (const each of [attempt, rank, since]) each.addEventListener("change", follow);
live.addEventListener("event", (event) => {
  if (attempt.value) return;
  if (event.detail.some((each) => each.workload === own && each.type === "Launched")) {
    place.dataset.attempt = "";
    follow();
  }
});
follow();
