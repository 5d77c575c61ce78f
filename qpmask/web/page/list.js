// The first page: all images, as cards that a search and an order choose from.

import { areaText, make } from "./api.js";
import { thumbAddress } from "./labels.js";

export function showList(main, images) {
  const search = make("input", { type: "search", placeholder: "Search images and classes", "aria-label": "Search images and classes" });
  const names = [...new Set(images.flatMap((image) => image.classes.map((one) => one.name)))].sort();
  const order = make("select", { "aria-label": "Order" },
    make("option", { value: "name", text: "by name" }), make("option", { value: "status", text: "by status" }),
    ...names.map((name) => make("option", { value: `class ${name}`, text: `most ${name} first` })));
  const count = make("span", { class: "count" });
  const cards = make("ul", { class: "cards" });
  const shown = images.map((image) => ({ image, card: card(image) }));
  const refresh = () => {
    const wanted = search.value.trim().toLowerCase();
    const hits = shown.filter(({ image }) => !wanted || image.name.toLowerCase().includes(wanted)
      || image.classes.some((one) => one.name.toLowerCase().includes(wanted)));
    hits.sort(comparison(order.value));
    cards.replaceChildren(...hits.map(({ card: one }) => one));
    count.textContent = hits.length === images.length ? `${images.length} images` : `${hits.length} of ${images.length} images`;
  };
  search.addEventListener("input", refresh);
  order.addEventListener("change", refresh);
  refresh();
  main.replaceChildren(make("section", { class: "list" }, make("div", { class: "choose" }, search, order, count), cards));
}

function comparison(order) {
  const byName = (a, b) => a.image.name.localeCompare(b.image.name, undefined, { numeric: true });
  if (order === "status") return (a, b) => a.image.status.localeCompare(b.image.status) || byName(a, b);
  if (!order.startsWith("class ")) return byName;
  const name = order.slice(6);
  const amount = ({ image }) => {
    const found = image.classes.find((one) => one.name === name);
    return found ? found.area_mm2 ?? found.pixels : -1;
  };
  return (a, b) => amount(b) - amount(a) || byName(a, b);
}

function card(image) {
  const picture = make("img", { src: thumbAddress(image.number), loading: "lazy", alt: "" });
  const frame = make("div", { class: "picture" }, picture);
  picture.addEventListener("error", async () => {
    let text = "no picture";
    try { text = (await (await fetch(picture.src)).json()).error ?? text; } catch { /* as it is */ }
    frame.textContent = text;
  });
  const facts = [image.status, image.slide ? "" : "no slide", image.masks.length > 1 ? `${image.masks.length} masks` : "",
    image.nPatchFiles ? "patches" : ""].filter(Boolean).join(" · ");
  const largest = [...image.classes].sort((a, b) => b.pixels - a.pixels);
  const classes = make("ul", {}, ...largest.slice(0, 6).map((one) => make("li", {},
    make("span", { class: "swatch", style: `background: ${/^#[0-9a-f]{6}$/i.test(one.color ?? "") ? one.color : "#888"}` }),
    make("span", { text: one.name, title: one.name }),
    make("span", { text: one.area_mm2 === null ? `${one.pixels.toLocaleString("en")} px` : areaText(one.area_mm2) }))));
  if (image.classes.length > 6) classes.append(make("li", { text: `and ${image.classes.length - 6} more ${image.classes.length === 7 ? "class" : "classes"}` }));
  return make("li", { class: "card" }, make("a", { href: `#image=${image.number}` }, frame,
    make("div", { class: "text" }, make("h2", { text: image.name }), make("div", { class: "facts", text: facts }),
      image.problem ? make("div", { class: "facts bad", text: image.problem }) : "", classes)));
}
