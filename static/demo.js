// Makes the calls of the demo page from the page itself. Everything works without this file, by forms.
"use strict";

const byId = (id) => document.getElementById(id);

// What a credential looks like: a JWT, or a sealed cookie of the BFF.
const TOKEN = /\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]*|\b[12]\.[\w-]+\.[\w-]{40,}/g;
let found = 0;

function search(...texts) {
  for (const text of texts) found += (String(text).match(TOKEN) || []).length;
  const proof = byId("proof");
  proof.textContent = proof.dataset.words.replace("#", found);
  proof.dataset.found = found;
  proof.closest("section").classList.toggle("claim", found === 0);
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function chip(status) {
  const tone = status < 400 ? "ok" : status < 500 ? "warn" : "err";
  return element("span", `chip ${tone}`, status || "–");
}

function line(inner, when, what, status) {
  const log = byId("log");
  const row = element("li", inner ? "inner" : "", "");
  const words = element("div", "what", "");
  words.append(element("span", "soft", inner ? log.dataset.in : log.dataset.out), " ", element("code", "", what));
  row.append(element("code", "when soft", when), words, chip(status));
  log.append(row);
  byId("nothing").hidden = true;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function ask(method, path, csrf) {
  const begun = new Date();
  const headers = csrf ? { "X-CSRF": "1" } : {};
  const request = { method, headers, credentials: "same-origin" };
  if (method === "POST" && path.startsWith("/api/")) {
    headers["Content-Type"] = "application/json";
    request.body = JSON.stringify({ title: "Buy rope" });
  }
  try {
    const response = await fetch(path, request);
    const text = await response.text();
    search(text, response.url, JSON.stringify([...response.headers]));
    return { begun, text, status: response.status, type: response.headers.get("Content-Type") || "" };
  } catch {
    return { begun, text: "", status: 0, type: "" };
  }
}

async function showSession() {
  byId("session").textContent = pretty((await ask("GET", "/auth/session", true)).text);
}

// A refusal of the BFF names its code; any other answer under /api came from the API behind.
function refusal(answer) {
  if (!answer.type.startsWith("application/problem+json")) return null;
  try {
    const problem = JSON.parse(answer.text);
    return String(problem.type).startsWith("/auth/") ? problem.code : null;
  } catch {
    return null;
  }
}

async function call(button) {
  const { method, path, csrf } = button.dataset;
  button.disabled = true;
  const answer = await ask(method, path, csrf !== undefined);
  button.disabled = false;
  button.focus();
  const code = refusal(answer);
  const sent = csrf === undefined ? "cookie" : "cookie, X-CSRF";
  line(false, answer.begun.toTimeString().slice(0, 8), `${method} ${path} · ${code || sent}`, answer.status);
  if (path.startsWith("/api/") && answer.status && !code) {
    line(true, "↳", `${method} ${path} · Authorization: Bearer •••`, answer.status);
  }
  byId(`status-${button.value}`).replaceChildren(chip(answer.status));
  byId("answer").textContent = pretty(answer.text);
  byId("answered").hidden = !answer.text;
  await showSession();
}

byId("calls").addEventListener("submit", (event) => {
  if (!event.submitter) return;
  event.preventDefault();
  call(event.submitter);
});

search(document.documentElement.outerHTML, document.cookie, location.href);
search(JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }));
showSession();
