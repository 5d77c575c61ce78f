// One image: its panes, the side panel, keys, and the address that holds what is seen.

import { getBytes, getJson, make, note, shareText } from "./api.js";
import { Legend } from "./legend.js";
import { fromHex } from "./paint.js";
import { Pane } from "./pane.js";
import * as place from "./place.js";

const KEYS = [["arrows", "move"], ["+ and -", "zoom"], ["0", "everything"], ["space", "mask on or off"], ["[ and ]", "fade"],
  ["1 to 9", "class on or off"], ["o", "outlines"], ["l", "slide on or off"], ["d", "difference"], ["s", "save a picture"], ["Esc", "all images"]];
const LOOKED_AGAIN_MS = 15000;

export class ImageView {
  constructor(main, tools, state) {
    this.main = main;
    this.tools = tools;
    this.state = state;
    this.panes = [];
    this.patchTables = new Map();
  }

  async open() {
    this.image = await getJson(`api/images/${this.state.image}`);
    for (const text of this.image.notes) note(text);
    document.getElementById("title").textContent = this.image.name;
    document.title = `${this.image.name} · qpmask`;
    place.fit(this.state, this.image);
    this.state.fade ??= this.image.hasSlide ? 0.5 : 1;
    this.legend = new Legend(this.image, {
      toggle: (layer, label) => this.toggle(layer, label),
      only: (layer, label) => this.only(layer, label),
      recolor: (layer, label, color) => { this.state.colors.set(`${layer}:${label}`, color); this.refresh(); },
      layer: (index) => this.toggleLayer(index),
    });
    this.build();
    await this.loadObjects();
    await this.loadPatches();
    this.makePanes();
    this.refresh();
    this.timer = setInterval(() => this.lookAgain(), LOOKED_AGAIN_MS);
  }

  close() {
    clearInterval(this.timer);
    for (const pane of this.panes) pane.close();
    this.panes = [];
    this.tools.replaceChildren();
  }

  // --- what is shown ----------------------------------------------------------------------------

  // The layers that are shown: as the address says, else those of the first mask.
  get layers() {
    const all = this.image.layers.map((_, index) => index);
    if (this.state.on !== null) return all.filter((index) => this.state.on.has(index));
    const first = all.filter((index) => this.image.layers[index].mask === 0);
    return first.every((index) => this.image.layers[index].kind === "channel") ? first : first.slice(0, 1);
  }

  look(layers, title, difference = null) {
    const { state } = this;
    return {
      layers, title, difference,
      off: state.off, fade: state.isHidden ? 0 : state.line ? 1 : state.fade, line: state.line, slide: state.slide, byInstance: state.byInstance,
      color: (index, row) => state.colors.get(`${index}:${row.label}`),
      patches: this.patchLook(),
    };
  }

  refresh() {
    const { pair } = this.state;
    const titles = (index) => this.image.layers[index].title;
    const [one, two] = this.panes;
    if (pair?.how === "side") {
      one.show(this.look([pair.a], titles(pair.a)));
      two.show(this.look([pair.b], titles(pair.b)));
    } else if (pair) {
      one.show(this.look([], `${titles(pair.a)} against ${titles(pair.b)}`, [pair.a, pair.b]));
    } else {
      one.show(this.look(this.layers, ""));
    }
    this.legend.show(this.state, pair ? [pair.a, pair.b] : this.layers);
    this.controls();
    this.remember();
  }

  remember() {
    if (this.panes[0]?.isOpen) Object.assign(this.state, this.panes[0].place);
    place.write(this.state);
  }

  toggle(layer, label) {
    const off = this.state.off.get(layer) ?? new Set();
    if (!off.delete(label)) off.add(label);
    this.state.off.set(layer, off);
    this.refresh();
  }

  only(layer, label) {
    const others = this.image.layers[layer].classes.map((row) => row.label).filter((one) => one !== label);
    const off = this.state.off.get(layer) ?? new Set();
    const isAlone = !off.has(label) && others.every((one) => off.has(one));
    this.state.off.set(layer, new Set(isAlone ? [] : others));
    this.refresh();
  }

  toggleLayer(index) {
    const shown = new Set(this.layers);
    if (!shown.delete(index)) shown.add(index);
    this.state.on = shown;
    this.refresh();
  }

  // --- the page ---------------------------------------------------------------------------------

  build() {
    this.area = make("div", { class: "panes" });
    const fade = make("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "Opacity of the mask", oninput: (event) => { this.state.fade = Number(event.target.value); this.refresh(); } });
    this.fade = fade;
    this.figures = make("div", { class: "figures" });
    this.side = make("aside", { class: "side", "aria-label": "Classes" },
      make("div", { class: "row" }, make("span", { text: "mask" }), fade), this.compareRow(), this.figures, this.patchRow(), this.legend.element,
      make("dl", { class: "keys" }, ...KEYS.flatMap(([key, what]) => [make("dt", { text: key }), make("dd", { text: what })])));
    this.main.replaceChildren(this.area, this.side);
    const button = (text, title, onclick) => make("button", { type: "button", text, title, onclick });
    this.buttons = {
      line: button("Outlines", "Outlines or filled (o)", () => { this.state.line = !this.state.line; this.refresh(); }),
      slide: button("Slide", "Slide on or off (l)", () => { this.state.slide = !this.state.slide; this.refresh(); }),
      instance: button("By object", "A colour an object, or one a class", () => { this.state.byInstance = !this.state.byInstance; this.refresh(); }),
    };
    this.tools.replaceChildren(button("−", "Zoom out (-)", () => this.each((pane) => pane.zoom(1 / 1.5))), button("+", "Zoom in (+)", () => this.each((pane) => pane.zoom(1.5))),
      button("Fit", "Everything (0)", () => this.each((pane) => pane.home())), ...Object.values(this.buttons),
      button("Link", "Copy the address of this view", () => this.copyLink()), button("Save", "Save a picture of the view (s)", () => this.save()));
    this.buttons.slide.hidden = !this.image.hasSlide;
    this.buttons.instance.hidden = this.image.layers.every((layer) => layer.kind !== "instances");
  }

  controls() {
    this.buttons.line.setAttribute("aria-pressed", this.state.line);
    this.buttons.slide.setAttribute("aria-pressed", this.state.slide);
    this.buttons.instance.setAttribute("aria-pressed", this.state.byInstance);
    this.fade.value = this.state.fade;
  }

  makePanes() {
    for (const pane of this.panes) pane.close();
    const n = this.state.pair?.how === "side" ? 2 : 1;
    const places = Array.from({ length: n }, () => make("div", { class: "pane" }));
    this.area.replaceChildren(...places);
    this.panes = places.map((element, number) => new Pane(element, this.image, {
      moved: () => this.remember(),
      seen: (counts, total) => this.legend.seen(counts, total, this.panes[0].objects),
      failed: (error) => this.failed(error),
      number,
    }));
    for (const pane of this.panes) {
      pane.objects = this.objects;
      pane.ready.then(() => {
        const { x, y, d } = this.state;
        if (x !== null && y !== null && d !== null) pane.goTo({ x, y, d });
        pane.isOpen = true;
        this.refresh();
        pane.later();
      });
    }
    if (n === 2) this.tie(...this.panes);
  }

  // Where one pane goes, the other goes too.
  tie(one, other) {
    let follows = false;
    const follow = (from, to) => from.viewer.addHandler("viewport-change", () => {
      if (follows) return;
      follows = true;
      to.viewer.viewport.fitBounds(from.viewer.viewport.getBounds(true), true);
      follows = false;
    });
    follow(one, other);
    follow(other, one);
  }

  each(action) { // of two panes that are tied, moving one is enough
    if (this.panes[0]) action(this.panes[0]);
  }

  async copyLink() {
    this.remember();
    try {
      await navigator.clipboard.writeText(location.href);
      note("The address of this view is copied. It opens where this server can be reached.");
    } catch {
      note(`The address of this view: ${location.href}`);
    }
  }

  save() {
    return this.panes[0].save(`${this.image.name.replace(/[^\p{L}\p{N} ._-]/gu, "_")}.png`);
  }

  // --- two masks --------------------------------------------------------------------------------

  compareRow() {
    const layers = this.image.layers;
    const row = make("div", { class: "row" });
    if (layers.length < 2) return row;
    const choice = (chosen, name) => make("select", { "aria-label": name, hidden: !this.state.pair, onchange: () => this.compare() }, ...layers.map((layer, index) => make("option", { value: index, text: layer.title, selected: index === chosen })));
    const { pair } = this.state;
    const another = layers.findIndex((layer) => layer.mask !== layers[0].mask);
    this.choices = {
      a: choice(pair?.a ?? 0, "First mask"),
      b: choice(pair?.b ?? Math.max(another, 1), "Second mask"),
      how: make("select", { "aria-label": "How to compare", onchange: () => this.compare() },
        ...[["", "no"], ["side", "side by side"], ["difference", "difference"]].map(([value, text]) => make("option", { value, text, selected: (pair?.how ?? "") === value }))),
    };
    row.append(make("span", { text: "compare" }), this.choices.how, this.choices.a, this.choices.b);
    if (pair) this.showFigures();
    return row;
  }

  compare(how = null) {
    if (!this.choices) return;
    if (how !== null) this.choices.how.value = this.choices.how.value === how ? "" : how;
    const chosen = this.choices.how.value;
    this.choices.a.hidden = this.choices.b.hidden = !chosen;
    const had = this.state.pair?.how === "side";
    this.state.pair = chosen ? { a: Number(this.choices.a.value), b: Number(this.choices.b.value), how: chosen } : null;
    if (had !== (chosen === "side")) {
      this.remember();
      this.makePanes();
    }
    this.refresh();
    this.showFigures();
  }

  async showFigures() {
    const { pair } = this.state;
    this.figures.replaceChildren();
    if (!pair || this.image.layers[pair.a].mask === this.image.layers[pair.b].mask) return;
    this.figures.append(make("p", { text: "Comparing all pixels …" }));
    try {
      const found = await getJson(`api/images/${this.image.number}/compare/${pair.a}/${pair.b}`);
      if (this.state.pair !== pair) return;
      const number = (value) => (value === null ? "" : value.toFixed(4));
      const table = make("table", {}, make("tr", {}, ...["", "Dice", "IoU", "κ"].map((text, i) => make("th", { text, class: i ? "" : "name" }))),
        ...found.scores.map((one) => make("tr", {}, make("td", { class: "name", text: one.name }), ...[one.dice, one.iou, one.kappa].map((value) => make("td", { text: number(value) })))));
      const share = found.pixels ? found.different / found.pixels : 0;
      this.figures.replaceChildren(make("p", { text: `${found.different.toLocaleString("en")} of ${found.pixels.toLocaleString("en")} pixels differ (${shareText(share)}); κ ${number(found.kappa)}` }), table,
        ...found.notes.map((text) => make("p", { text })));
    } catch (error) {
      this.figures.replaceChildren(make("p", { text: error.message }));
    }
  }

  // --- objects and patches ----------------------------------------------------------------------

  async loadObjects() {
    this.objects = new Map();
    for (const [index, layer] of this.image.layers.entries()) {
      if (layer.kind !== "instances") continue;
      try {
        this.objects.set(index, new Uint16Array(await getBytes(`api/images/${this.image.number}/objects/${index}`)));
      } catch (error) {
        this.failed(error);
      }
    }
  }

  patchRow() {
    const row = make("div", { class: "row", hidden: this.image.patches.length === 0 });
    this.patchChoice = make("select", { class: "wide", "aria-label": "Patches", onchange: () => this.choosePatches() });
    row.append(make("span", { text: "patches" }), this.patchChoice);
    return row;
  }

  async choosePatches() {
    const [file, what] = JSON.parse(this.patchChoice.value);
    this.state.patches = what ? { file, what } : null;
    await this.loadPatches();
    this.refresh();
  }

  async loadPatches() {
    const { patches } = this.state;
    const file = patches?.file ?? 0;
    if (this.image.patches.length && !this.patchTables.has(file)) {
      try {
        this.patchTables.set(file, readPatches(await getBytes(`api/images/${this.image.number}/patches/${file}`)));
      } catch (error) {
        this.failed(error);
      }
    }
    const options = [make("option", { value: JSON.stringify([0, ""]), text: "not shown" })];
    this.image.patches.forEach((name, index) => {
      const more = this.image.patches.length > 1 ? `${name}: ` : "";
      const classes = this.patchTables.get(index)?.classes ?? [];
      for (const what of ["grid", "tissue", ...classes]) {
        const isChosen = patches?.file === index && patches.what === what;
        options.push(make("option", { value: JSON.stringify([index, what]), text: more + what, selected: isChosen }));
      }
    });
    this.patchChoice.replaceChildren(...options);
  }

  patchLook() {
    const { patches } = this.state;
    const table = patches && this.patchTables.get(patches.file);
    if (!table) return null;
    const column = table.classes.indexOf(patches.what);
    const row = this.image.layers.flatMap((layer) => layer.classes).find((one) => one.name === patches.what);
    const color = fromHex(row?.color ?? "#0b5cad");
    const share = column >= 0 ? (i) => table.fractions[i * table.classes.length + column]
      : patches.what === "tissue" ? (i) => (Number.isNaN(table.tissue[i]) ? 0 : table.tissue[i]) : () => null;
    return { table, share, color: `${color & 255} ${(color >> 8) & 255} ${(color >> 16) & 255}` };
  }

  // --- while it is looked at --------------------------------------------------------------------

  failed(error) {
    if (error.status === 409) this.lookAgain();
    else note(error.message);
  }

  // Whether the files are still those that are shown.
  async lookAgain() {
    if (document.hidden || this.isLooking) return;
    this.isLooking = true;
    try {
      const now = await getJson(`api/images/${this.state.image}`);
      const versions = (image) => JSON.stringify([image.layers.map((layer) => layer.version), image.slideVersion]);
      if (versions(now) !== versions(this.image)) {
        note("A file was made again meanwhile; it was loaded anew.");
        this.remember();
        this.close();
        await this.open();
      }
    } catch (error) {
      note(error.message);
    } finally {
      this.isLooking = false;
    }
  }

  // --- keys -------------------------------------------------------------------------------------

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.panes.length) return;
    const isField = event.target.matches?.("input:not([type=checkbox]):not([type=range]), select, textarea");
    if (isField && event.key !== "Escape") return;
    if (event.target.matches?.("button, input, a") && [" ", "Enter"].includes(event.key)) return;
    if (event.target.matches?.("input[type=range]") && event.key.startsWith("Arrow")) return;
    const step = event.shiftKey ? 0.5 : 0.15;
    const actions = {
      ArrowLeft: () => this.each((pane) => pane.pan(-step, 0)), ArrowRight: () => this.each((pane) => pane.pan(step, 0)),
      ArrowUp: () => this.each((pane) => pane.pan(0, -step)), ArrowDown: () => this.each((pane) => pane.pan(0, step)),
      "+": () => this.each((pane) => pane.zoom(1.5)), "=": () => this.each((pane) => pane.zoom(1.5)), "-": () => this.each((pane) => pane.zoom(1 / 1.5)),
      0: () => this.each((pane) => pane.home()), Home: () => this.each((pane) => pane.home()),
      " ": () => { this.state.isHidden = !this.state.isHidden; this.refresh(); },
      "[": () => this.fadeBy(-0.1), "]": () => this.fadeBy(0.1),
      o: () => this.buttons.line.click(), l: () => this.image.hasSlide && this.buttons.slide.click(),
      d: () => this.compare("difference"), s: () => this.save(), Escape: () => { location.hash = ""; },
    };
    const digit = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
    const action = digit ? () => this.toggleNth(digit - 1) : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  fadeBy(step) {
    this.state.isHidden = false;
    this.state.fade = Math.round(Math.min(1, Math.max(0, this.state.fade + step)) * 100) / 100;
    this.refresh();
  }

  toggleNth(n) {
    const layers = this.state.pair ? [this.state.pair.a, this.state.pair.b] : this.layers;
    const rows = layers.flatMap((index) => this.image.layers[index].classes.map((row) => [index, row.label]));
    if (n < rows.length) this.toggle(...rows[n]);
  }
}

// A line of JSON, then corners (n, 2), tissue (n), fractions (n, classes).
function readPatches(bytes) {
  const start = 4 + new DataView(bytes).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, start - 4)));
  const { n, classes } = head;
  return {
    ...head, corners: new Int32Array(bytes, start, 2 * n), tissue: new Float32Array(bytes, start + 8 * n, n),
    fractions: new Float32Array(bytes, start + 12 * n, n * classes.length),
  };
}

