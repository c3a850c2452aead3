// The start of an app with supabase-js, bundled by esbuild as people do: the URL and one line are all that changed.

import { createClient } from "@supabase/supabase-js";
import { Upload } from "tus-js-client";

const flowType = localStorage.getItem("flow") ?? "implicit";
const supabase = createClient(`${location.origin}/supabase`, "anything", { auth: { flowType } });

window.supabase = supabase;
window.Upload = Upload;
window.events = [];
supabase.auth.onAuthStateChange((event, session) => {
  window.events.push(event);
  document.getElementById("who").textContent = session?.user?.email ?? "nobody";
});
