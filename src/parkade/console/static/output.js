// Follows what a rank prints. The text is put in as text; control sequences are left out.

import { live } from "./console.js";

const place = document.getElementById("output");
const rank = document.getElementById("rank");
const since = document.getElementById("since");
const MOST = 200_000;
let reader = null;
let generation = 0;

async function follow() {
  const mine = ++generation;
  reader?.cancel().catch(() => {});
  place.textContent = "";
  let response;
  try {
    const chosen = `rank=${Number(rank.value) || 0}&since=${encodeURIComponent(since.value)}`;
    response = await fetch(`${place.dataset.url}?follow=true&${chosen}`);
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
  const plain = text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");
  place.append(plain);
  if (place.textContent.length > MOST) place.textContent = place.textContent.slice(-MOST / 2);
  if (isAtEnd) place.scrollTop = place.scrollHeight;
}

rank.addEventListener("change", follow);
since.addEventListener("change", follow);
live.addEventListener("event", (event) => {
  const own = place.dataset.url.split("/")[2];
  if (event.detail.some((each) => each.workload === own && each.type === "Launched")) follow();
});
follow();
