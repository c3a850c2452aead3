// supabase-js in Node, as tests/it/drop_in/node.rs drives it: a line of JavaScript in, a line of JSON out.
// The fetch that it gets keeps cookies as a browser does and remembers every answer.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const [modules, base] = process.argv.slice(2);
const { createClient } = createRequire(`${modules}/`)("@supabase/supabase-js");

// The story's clock, which the clients have to share.
const realNow = Date.now.bind(Date);
let shift = 0;
Date.now = () => realNow() + shift;
const setNow = seconds => void (shift = seconds * 1000 - realNow());

const jar = new Map();
const seen = [];

async function fetchWithCookies(input, init) {
  const request = new Request(input, init);
  const headers = new Headers(request.headers);
  headers.set("origin", base);
  if (jar.size) headers.set("cookie", [...jar].map(([name, value]) => `${name}=${value}`).join("; "));
  const response = await fetch(request, { headers });
  for (const line of response.headers.getSetCookie()) {
    const [, name, value, rest] = /^([^=]*)=([^;]*)(.*)$/.exec(line);
    if (/max-age=0/i.test(rest)) jar.delete(name);
    else jar.set(name, value);
  }
  seen.push({ url: request.url, status: response.status, body: await response.clone().text() });
  return response;
}

// What a page keeps in localStorage; tabs share it as they share the cookies.
const kept = new Map();
const storage = {
  getItem: name => kept.get(name) ?? null,
  setItem: (name, value) => void kept.set(name, value),
  removeItem: name => void kept.delete(name),
};

function tab(auth = {}) {
  const events = [];
  const client = createClient(`${base}/supabase`, "anything", {
    auth: { storage, persistSession: true, autoRefreshToken: false, ...auth },
    global: { fetch: fetchWithCookies },
    realtime: { transport: class {} },
  });
  client.auth.onAuthStateChange(event => void events.push(event));
  return Object.assign(client, { events });
}

const tabs = { first: tab() };
const AsyncFunction = (async () => {}).constructor;
const told = value => (value instanceof Error ? { name: value.name, message: value.message, ...value } : value);

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const run = new AsyncFunction("tabs", "tab", "jar", "kept", "seen", "setNow", JSON.parse(line));
    answer = { value: (await run(tabs, tab, jar, kept, seen, setNow)) ?? null };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer, (_, value) => told(value))}\n`);
}
