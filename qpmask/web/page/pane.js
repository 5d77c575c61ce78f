// One view of an image: the slide by OpenSeadragon, and above it labels, patches and the scale bar.
//
// Labels are picked for the pixels of the screen and painted at once, so a class that is switched
// needs no request, and no label is ever mixed with another.

import { base, make } from "./api.js";
import { DAMAGED, LabelTiles } from "./labels.js";
import { Colors, countLabels, paintDifference, paintLabels } from "./paint.js";

const { OpenSeadragon } = window;
const WHITE = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=";

export class Pane {
  // place: the element it fills; image: what api/images/I says; look: how it is shown (see show());
  // told: { moved(), seen(counts, total), failed(error) }
  constructor(place, image, told) {
    this.image = image;
    this.told = told;
    this.look = null;
    this.tiles = new Map(); // layer -> LabelTiles
    this.objects = new Map(); // layer -> Uint16Array, which class each object has
    this.labels = new Map(); // layer -> Uint32Array, what the last picture showed
    this.patches = null;
    this.deep = make("div", { class: "deep" });
    this.over = make("canvas", { class: "over" });
    this.marks = make("canvas", { class: "over" });
    this.name = make("div", { class: "name" });
    this.bar = make("div", { class: "bar" });
    this.here = make("div", { class: "here" });
    place.append(this.deep, this.over, this.marks, this.name, this.bar, this.here);
    this.viewer = new OpenSeadragon.Viewer({
      element: this.deep,
      tileSources: this.sources(),
      drawer: "canvas",
      showNavigationControl: false,
      showNavigator: false,
      animationTime: 0.4,
      springStiffness: 9,
      maxZoomPixelRatio: 40,
      minZoomImageRatio: 0.5,
      visibilityRatio: 0.2,
      timeout: 60000,
      imageLoaderLimit: 6,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      keyboardNavEnabled: false,
    });
    this.viewer.innerTracker.keyHandler = null; // keys are main's
    this.viewer.innerTracker.keyDownHandler = null;
    this.viewer.canvas.setAttribute("aria-label", `${image.name}: drag or use the arrow keys to move, + and - to zoom`);
    this.viewer.addHandler("update-viewport", () => this.draw());
    this.viewer.addHandler("animation-finish", () => this.told.moved());
    this.viewer.addHandler("resize", () => this.later());
    this.viewer.addHandler("tile-load-failed", (event) => this.slideFailed(event));
    this.deep.addEventListener("pointermove", (event) => this.pointAt(event));
    this.deep.addEventListener("pointerleave", () => { this.here.textContent = ""; });
    this.ready = new Promise((resolve) => this.viewer.addOnceHandler("open", resolve));
    this.observer = new ResizeObserver(() => this.later());
    this.observer.observe(place);
  }

  // White paper of the image's size, and the slide upon it, which can be switched off.
  sources() {
    const { width, height, levels, tile, number, hasSlide, slideVersion } = this.image;
    const paper = { width, height, tileSize: Math.max(width, height), minLevel: 0, maxLevel: 0, getTileUrl: () => WHITE };
    if (!hasSlide) return [paper];
    return [paper, {
      width, height, tileSize: tile, tileOverlap: 0, minLevel: 0, maxLevel: levels - 1,
      getTileUrl: (level, col, row) => `${base}api/images/${number}/slide/${levels - 1 - level}/${col}/${row}?v=${slideVersion}`,
    }];
  }

  // Whether it shows all that it should.
  get isWhole() {
    const items = this.viewer.world;
    const isThere = Array.from({ length: items.getItemCount() }, (_, i) => items.getItemAt(i).getFullyLoaded() || items.getItemAt(i).getOpacity() === 0);
    return isThere.length > 0 && isThere.every(Boolean) && [...this.tiles.values()].every((tiles) => !tiles.isWaiting);
  }

  close() {
    for (const one of this.tiles.values()) one.close();
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.counting);
    this.viewer.destroy();
  }

  // look: { layers: [index], off: Map(layer -> Set), color(layer, row), fade, line, slide, byInstance,
  // difference: [a, b] | null, patches: { table, what, color } | null, title }
  show(look) {
    this.look = look;
    this.name.textContent = look.title || "";
    this.over.style.opacity = look.fade;
    const wanted = new Set(look.difference ?? look.layers);
    for (const [index, tiles] of this.tiles) {
      if (!wanted.has(index)) {
        tiles.close();
        this.tiles.delete(index);
        this.labels.delete(index);
      }
    }
    for (const index of wanted) {
      if (!this.tiles.has(index)) {
        this.tiles.set(index, new LabelTiles(this.image, index, () => this.later(), (error) => this.told.failed(error)));
      }
    }
    this.colors = new Map([...wanted].map((index) => {
      const layer = this.image.layers[index];
      const off = look.off.get(index) ?? new Set();
      return [index, new Colors(layer, off, (row) => look.color(index, row), this.objects.get(index), look.byInstance)];
    }));
    this.viewer.world.getItemAt(1)?.setOpacity(look.slide ? 1 : 0);
    this.later();
  }

  later() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  // --- where it looks ---------------------------------------------------------------------------

  // The view in pixels of the image: corner and width of a pixel of the canvas.
  view() {
    const { width } = this.image;
    const bounds = this.viewer.viewport.getBounds(true);
    const ratio = window.devicePixelRatio || 1;
    const out = { width: Math.max(1, Math.round(this.deep.clientWidth * ratio)), height: Math.max(1, Math.round(this.deep.clientHeight * ratio)) };
    return { x: bounds.x * width, y: bounds.y * width, step: (bounds.width * width) / out.width, ...out, ratio };
  }

  // Middle of the view in pixels of the image, and how many of them a pixel of the page spans.
  get place() {
    const { width } = this.image;
    const middle = this.viewer.viewport.getCenter(false);
    const zoom = this.viewer.viewport.getBounds(false).width * width / Math.max(1, this.deep.clientWidth);
    return { x: middle.x * width, y: middle.y * width, d: zoom };
  }

  goTo({ x, y, d }, immediately = true) {
    const { width } = this.image;
    const wide = d * Math.max(1, this.deep.clientWidth);
    const high = d * Math.max(1, this.deep.clientHeight);
    const bounds = new OpenSeadragon.Rect((x - wide / 2) / width, (y - high / 2) / width, wide / width, high / width);
    this.viewer.viewport.fitBounds(bounds, immediately);
  }

  home() {
    this.viewer.viewport.goHome();
  }

  pan(x, y) { // in parts of the view
    const bounds = this.viewer.viewport.getBounds(false);
    this.viewer.viewport.panBy(new OpenSeadragon.Point(x * bounds.width, y * bounds.height)).applyConstraints();
  }

  zoom(factor) {
    this.viewer.viewport.zoomBy(factor).applyConstraints();
  }

  // --- what it shows ----------------------------------------------------------------------------

  draw() {
    if (!this.look || !this.viewer.viewport || !this.viewer.world.getItemCount()) return;
    const view = this.view();
    this.shown = view;
    if (this.over.width !== view.width || this.over.height !== view.height) {
      for (const canvas of [this.over, this.marks]) {
        canvas.width = view.width;
        canvas.height = view.height;
      }
      this.picture = null;
      this.labels.clear();
    }
    this.picture ??= this.over.getContext("2d").createImageData(view.width, view.height);
    const pixels = new Uint32Array(this.picture.data.buffer);
    pixels.fill(0);
    const pair = this.look.difference;
    for (const index of pair ?? this.look.layers) {
      let labels = this.labels.get(index);
      if (!labels) this.labels.set(index, labels = new Uint32Array(view.width * view.height));
      this.tiles.get(index).fill(labels, view.width, view.height, view);
      if (!pair) paintLabels(pixels, labels, view.width, view.height, this.colors.get(index), this.look.line ? Math.round(2 * view.ratio) : 0);
    }
    if (pair) {
      const [a, b] = pair;
      paintDifference(pixels, this.labels.get(a), this.labels.get(b), view.width, view.height, this.colors.get(a), this.colors.get(b));
    }
    this.over.getContext("2d").putImageData(this.picture, 0, 0);
    this.drawPatches(view);
    this.drawBar(view);
    clearTimeout(this.counting);
    this.counting = setTimeout(() => this.count(view), 120);
  }

  count(view) {
    const { width, height } = this.image;
    const clip = (value, most) => Math.min(most, Math.max(0, Math.round(value)));
    const inside = {
      x0: clip(-view.x / view.step, view.width), x1: clip((width - view.x) / view.step, view.width),
      y0: clip(-view.y / view.step, view.height), y1: clip((height - view.y) / view.step, view.height),
    };
    const total = Math.max(0, inside.x1 - inside.x0) * Math.max(0, inside.y1 - inside.y0);
    const counts = new Map();
    for (const [index, labels] of this.labels) {
      if (labels.length === view.width * view.height) counts.set(index, total ? countLabels(labels, view.width, inside) : new Map());
    }
    this.told.seen(counts, total);
  }

  drawPatches(view) {
    const context = this.marks.getContext("2d");
    context.clearRect(0, 0, view.width, view.height);
    const shown = this.look.patches;
    if (!shown) return;
    const { corners, size, n } = shown.table;
    const [wide, high] = [size[0] / view.step, size[1] / view.step];
    context.lineWidth = Math.max(1, view.ratio);
    for (let i = 0; i < n; i++) {
      const x = (corners[2 * i] - view.x) / view.step, y = (corners[2 * i + 1] - view.y) / view.step;
      if (x > view.width || y > view.height || x + wide < 0 || y + high < 0) continue;
      const share = shown.share(i);
      if (share !== null) {
        context.fillStyle = `rgb(${shown.color} / ${(0.75 * share).toFixed(3)})`;
        context.fillRect(x, y, Math.max(1, wide), Math.max(1, high));
      }
      if (wide > 5) {
        context.strokeStyle = "rgb(0 0 0 / 0.55)";
        context.strokeRect(x, y, wide, high);
      }
    }
  }

  drawBar(view) {
    const { mpp } = this.image;
    const perPixel = (mpp ? mpp[0] : 1) * view.step * view.ratio;
    const most = perPixel * Math.min(160, this.deep.clientWidth / 3);
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((n) => n * power).find((n) => n <= most) ?? power;
    const text = !mpp ? `${length.toLocaleString("en")} px`
      : length >= 1000 ? `${length / 1000} mm` : `${length >= 1 ? length : length.toPrecision(1)} µm`;
    this.bar.replaceChildren(make("span", { text }), make("i", { style: `width: ${length / perPixel}px` }));
  }

  pointAt(event) {
    if (!this.shown || !this.look) return;
    const box = this.deep.getBoundingClientRect();
    const { x, y, step, ratio, width, height } = this.shown;
    const px = Math.floor((event.clientX - box.left) * ratio), py = Math.floor((event.clientY - box.top) * ratio);
    const at = [Math.floor(x + (px + 0.5) * step), Math.floor(y + (py + 0.5) * step)];
    if (at[0] < 0 || at[1] < 0 || at[0] >= this.image.width || at[1] >= this.image.height) {
      this.here.textContent = "";
      return;
    }
    const words = [];
    for (const [index, labels] of this.labels) {
      if (labels.length === width * height) {
        const text = this.nameOf(index, labels[py * width + px]);
        if (text) words.push(text);
      }
    }
    const { mpp } = this.image;
    const where = `x ${at[0].toLocaleString("en")}  y ${at[1].toLocaleString("en")}`;
    const um = mpp ? `  (${(at[0] * mpp[0]).toFixed(1)}, ${(at[1] * mpp[1]).toFixed(1)} µm)` : "";
    this.here.replaceChildren(make("span", { text: `${words.join(" · ") || "background"}   ${where}${um}` }));
  }

  nameOf(index, label) {
    if (!label) return "";
    if (label === DAMAGED) return "this tile cannot be read";
    const layer = this.image.layers[index];
    const objects = this.objects.get(index);
    const row = layer.classes.find((one) => one.label === (objects ? objects[label] : label));
    if (objects) return `${row?.name ?? "object"} #${label}`;
    return row ? `${row.name} (${label})` : `label ${label}`;
  }

  slideFailed(event) {
    if (this.slideIsAsked || !this.image.hasSlide) return;
    this.slideIsAsked = true; // the reason, once: an image element does not tell
    const source = event.tile?.getUrl?.() ?? event.tile?.url;
    if (!source || source.startsWith("data:")) return;
    fetch(source).then(async (answer) => {
      if (answer.ok) return;
      const said = await answer.json();
      this.told.failed(new Error([said.error, said.hint].filter(Boolean).join(" ")));
    }).catch(() => this.told.failed(new Error("The slide does not load any more.")));
  }

  // A picture of the view as it is.
  async save(fileName) {
    const canvas = make("canvas");
    const { width, height, ratio } = this.shown;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(this.viewer.drawer.canvas, 0, 0, width, height);
    context.globalAlpha = this.look.fade;
    context.drawImage(this.over, 0, 0);
    context.globalAlpha = 1;
    context.drawImage(this.marks, 0, 0);
    const [text, bar] = this.bar.children;
    context.fillStyle = "#fff";
    context.fillRect(8 * ratio, height - 34 * ratio, bar.offsetWidth + 12 * ratio, 28 * ratio);
    context.fillStyle = "#000";
    context.font = `${12 * ratio}px sans-serif`;
    context.fillText(text.textContent, 14 * ratio, height - 20 * ratio);
    context.fillRect(14 * ratio, height - 14 * ratio, bar.offsetWidth * ratio, 4 * ratio);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const link = make("a", { href: URL.createObjectURL(blob), download: fileName });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}
