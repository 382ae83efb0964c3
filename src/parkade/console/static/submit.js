// Plans while the form is filled in: sends it a moment after the last key, and puts the plan and what
// is wrong beside the fields. A fault of a field that was not touched yet is not told.

import { live, patch } from "./console.js";

const form = document.getElementById("submit");
const go = document.getElementById("go");
const touched = new Set();
const REST_MS = 400;
const AGAIN_MS = 5000;
let timer = null;
let asking = null;
let plannedAt = 0;

function soon(rest) {
  clearTimeout(timer);
  timer = setTimeout(plan, rest);
}

async function plan() {
  asking?.abort();
  const mine = (asking = new AbortController());
  plannedAt = performance.now();
  const body = new URLSearchParams(new FormData(form));
  body.set("do", "plan");
  let response;
  try {
    response = await fetch(form.action, { method: "POST", body, signal: mine.signal, credentials: "same-origin" });
    if (response.redirected) return location.assign(response.url);
    if (!response.ok && response.status !== 422) return;
    const text = await response.text();
    if (mine === asking) show(new DOMParser().parseFromString(text, "text/html"));
  } catch (error) {
    if (error.name !== "AbortError") soon(AGAIN_MS);
  }
}

function show(page) {
  const newer = page.getElementById("plan");
  if (newer === null) return;
  for (const each of form.querySelectorAll("[data-fault]")) {
    const told = page.getElementById(each.id);
    const field = each.dataset.fault;
    if (!told || field === "") continue;
    const says = touched.has(field) ? told.textContent : "";
    if (each.textContent !== says) each.textContent = says;
    const input = form.elements[field];
    if (says) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
  patch(document.getElementById("plan"), newer);
  const planned = page.getElementById("planned").value;
  form.elements.planned.value = planned;
  if (go) go.disabled = planned === "";
}

form.addEventListener("input", () => {
  // What stands in the form is not what was planned any more.
  if (go) go.disabled = true;
  soon(REST_MS);
});
form.addEventListener("change", (event) => {
  touched.add(event.target.name);
  soon(REST_MS);
});
for (const each of form.querySelectorAll("[aria-invalid]")) touched.add(each.name);
live.addEventListener("event", (message) => {
  if (message.detail.type !== "Cleared" || form.elements.planned.value === "") return;
  if (performance.now() - plannedAt > AGAIN_MS) soon(REST_MS);
});
