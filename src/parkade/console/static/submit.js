// Plans while the form is filled in: sends it a moment after the last key, and puts the plan and what
// is wrong beside the fields. That a field is empty which was not touched yet is said beside the plan
// alone. Both buttons send by script too, so that a server that is away takes nothing that was typed.

import { live, patch } from "./console.js";

const form = document.getElementById("submit");
const go = document.getElementById("go");
const unreached = document.getElementById("unreached");
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
  try {
    const page = await send("plan", mine.signal);
    if (page !== null && mine === asking) show(page);
  } catch (error) {
    if (error.name === "AbortError") return;
    unreached.textContent = "The server was not reached. What you wrote stays here; it is planned once it answers.";
    soon(AGAIN_MS);
  }
}

async function submit() {
  clearTimeout(timer);
  asking?.abort();
  go.disabled = true;
  try {
    const page = await send("submit");
    if (page !== null) show(page);
  } catch {
    unreached.textContent = `The server was not reached, so this may have been submitted: look at ${form.dataset.list} first.`;
    go.disabled = false;
  }
}

// The page that the form's answer is; null where another page follows, or it is no answer to a form.
async function send(act, signal) {
  const body = new URLSearchParams(new FormData(form));
  body.set("do", act);
  const response = await fetch(form.action, { method: "POST", body, signal, credentials: "same-origin" });
  if (response.redirected) {
    location.assign(response.url);
    return null;
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const isForm = page.getElementById("plan") !== null;
  unreached.textContent = isForm ? "" : (page.querySelector(".refused")?.textContent ?? `The server answered ${response.status}.`);
  return isForm ? page : null;
}

function show(page) {
  const newer = page.getElementById("plan");
  if (newer === null) return;
  for (const each of form.querySelectorAll("[data-fault]")) {
    const told = page.getElementById(each.id);
    const field = each.dataset.fault;
    if (!told || field === "") continue;
    const input = form.elements[field];
    const isBegun = touched.has(field) || input.value !== "" || !("needed" in told.dataset);
    const says = isBegun ? told.textContent : "";
    if (each.textContent !== says) each.textContent = says;
    if (says) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
  patch(document.getElementById("plan"), newer);
  const planned = page.getElementById("planned").value;
  form.elements.planned.value = planned;
  if (go) go.disabled = planned === "";
}

form.addEventListener("input", (event) => {
  if (event.target.value !== "") touched.add(event.target.name);
  // What stands in the form is not what was planned any more.
  if (go) go.disabled = true;
  soon(REST_MS);
});
form.addEventListener("change", (event) => {
  touched.add(event.target.name);
  soon(REST_MS);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.submitter === go) return submit();
  for (const each of form.querySelectorAll("[data-fault]")) touched.add(each.dataset.fault);
  soon(0);
});
for (const each of form.querySelectorAll("[aria-invalid]")) touched.add(each.name);
live.addEventListener("event", (message) => {
  if (message.detail.type !== "Cleared" || form.elements.planned.value === "") return;
  if (performance.now() - plannedAt > AGAIN_MS) soon(REST_MS);
});
