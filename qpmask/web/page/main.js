// Which page is shown: the list, or one image as the address says.

import { clearNotes, getJson, make, note } from "./api.js";
import { ImageView } from "./image.js";
import { showList } from "./list.js";
import * as place from "./place.js";

const main = document.getElementById("main");
const tools = document.getElementById("tools");
let view = null;
let shown = null;

async function show() {
  const state = place.read();
  const key = state ? location.hash : "";
  if (key === shown) return;
  shown = key;
  view?.close();
  view = null;
  clearNotes();
  document.getElementById("title").textContent = "";
  document.title = "qpmask";
  try {
    const { images } = await getJson("api/images");
    if (state === null) {
      showList(main, images);
    } else if (state.image >= images.length) {
      main.replaceChildren(make("p", { class: "help", text: `There is no image ${state.image} here.` }));
    } else {
      main.replaceChildren(make("p", { class: "help", text: "Opening …" }));
      const next = new ImageView(main, tools, state);
      view = next;
      await next.open();
    }
  } catch (error) {
    main.replaceChildren(make("p", { class: "help", text: error.message }));
  }
}

window.addEventListener("hashchange", show);
window.addEventListener("error", (event) => note(`The page failed: ${event.message}`));
document.addEventListener("keydown", (event) => view?.key(event));

const look = document.getElementById("look");
const looks = ["", "dark", "light"];
let chosen = 0;
try { chosen = Math.max(0, looks.indexOf(localStorage.getItem("qpmask-look") ?? "")); } catch { /* not kept */ }
const setLook = () => { document.documentElement.dataset.look = looks[chosen]; };
look.addEventListener("click", () => {
  chosen = (chosen + 1) % looks.length;
  setLook();
  try { localStorage.setItem("qpmask-look", looks[chosen]); } catch { /* not kept */ }
});
setLook();
window.qpmask = { get view() { return view; } }; // for tests, and for the curious
show();
