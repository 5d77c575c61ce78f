// Labels of one layer: tiles of numbers, asked for when they are seen, kept within a bound.
//
// A tile of level k has one label for 2^k x 2^k pixels of the layer. What a view shows is picked
// from the level whose pixels are not larger than the screen's, so that no two labels are mixed.

import { base, getBytes } from "./api.js";

const KEPT_BYTES = 96 * 2 ** 20;
const AT_ONCE = 6;
const DAMAGED = 0xfffffffe; // what a pixel has whose tile cannot be read
const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };

export { DAMAGED };

export class LabelTiles {
  // image: what api/images/I says; index: which of its layers; changed: called when labels arrive;
  // failed: called with an error.
  constructor(image, index, changed, failed) {
    this.layer = image.layers[index];
    this.tilePx = image.tile;
    this.path = `api/images/${image.number}/mask/${index}`;
    this.changed = changed;
    this.failed = failed;
    this.tiles = new Map(); // key -> { labels, width } | { isDamaged }; the last used at the end
    this.bytes = 0;
    this.wanted = new Map(); // key -> [level, col, row], the last asked for at the end
    this.running = new Map(); // key -> AbortController
  }

  close() {
    this.wanted.clear();
    for (const one of this.running.values()) one.abort();
    this.changed = this.failed = () => {};
  }

  get isWaiting() {
    return this.wanted.size + this.running.size > 0;
  }

  levelFor(step) { // step: pixels of the layer in one of the screen
    return Math.min(this.layer.levels - 1, Math.max(0, Math.floor(Math.log2(step * (1 + 1e-9)))));
  }

  // Fills `out` (Uint32Array, width x height) with the labels of a view: `view.x`, `view.y` is the
  // corner of its first pixel and `view.step` the width of one, all in pixels of the image.
  fill(out, width, height, view) {
    const [scaleX, scaleY] = this.layer.scale;
    const level = this.levelFor(view.step / Math.max(scaleX, scaleY));
    const cols = this.positions(width, view.x, view.step, scaleX, this.layer.width, level);
    const rows = this.positions(height, view.y, view.step, scaleY, this.layer.height, level);
    out.fill(0);
    this.wanted.clear(); // what was asked for and is not seen any more need not come
    for (const down of runs(rows, this.tilePx)) {
      for (const across of runs(cols, this.tilePx)) {
        this.fillTile(out, width, level, down, across, rows, cols);
      }
    }
    this.pump();
  }

  // Which pixel of the level each pixel of the screen shows; -1 beside the layer.
  positions(n, start, step, scale, size, level) {
    const found = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      const at = Math.floor((start + (i + 0.5) * step) / scale);
      found[i] = at < 0 || at >= size ? -1 : at >> level;
    }
    return found;
  }

  fillTile(out, width, level, down, across, rows, cols) {
    let tile = this.take(level, across.tile, down.tile, true);
    let coarser = 0;
    while (tile === undefined && level + ++coarser < this.layer.levels) {
      tile = this.take(level + coarser, across.tile >> coarser, down.tile >> coarser, false);
    }
    if (tile === undefined) return;
    const last = this.tilePx - 1;
    for (let y = down.start; y < down.stop; y++) {
      const place = y * width;
      if (tile.isDamaged) {
        out.fill(DAMAGED, place + across.start, place + across.stop);
        continue;
      }
      // A coarser tile may end one pixel early, where the finer level has an odd pixel more.
      const row = Math.min((rows[y] >> coarser) & last, tile.height - 1) * tile.width;
      for (let x = across.start; x < across.stop; x++) {
        out[place + x] = tile.labels[row + Math.min((cols[x] >> coarser) & last, tile.width - 1)];
      }
    }
  }

  take(level, col, row, isWanted) {
    const key = `${level}/${col}/${row}`;
    const tile = this.tiles.get(key);
    if (tile !== undefined) {
      this.tiles.delete(key);
      this.tiles.set(key, tile);
    } else if (isWanted && !this.running.has(key)) {
      this.wanted.set(key, [level, col, row]);
    }
    return tile;
  }

  pump() {
    while (this.running.size < AT_ONCE && this.wanted.size) {
      const [key, [level, col, row]] = this.wanted.entries().next().value;
      this.wanted.delete(key);
      this.load(key, level, col, row);
    }
  }

  async load(key, level, col, row) {
    const stop = new AbortController();
    this.running.set(key, stop);
    const width = Math.min(this.tilePx, Math.ceil(this.layer.width / 2 ** level) - col * this.tilePx);
    const height = Math.min(this.tilePx, Math.ceil(this.layer.height / 2 ** level) - row * this.tilePx);
    let tile = { isDamaged: true };
    try {
      const bytes = await getBytes(`${this.path}/${key}?v=${this.layer.version}`, stop.signal);
      const labels = new ARRAYS[this.layer.dtype](bytes);
      if (labels.length !== width * height) throw new Error(`Tile ${key} came incomplete.`);
      tile = { labels, width, height };
    } catch (error) {
      if (error.name === "AbortError") return;
      this.failed(error);
      if (error.status === 0 || error.status === 409) tile = undefined; // it may come yet
    } finally {
      this.running.delete(key);
    }
    if (tile !== undefined) this.keep(key, tile);
    this.pump();
    this.changed();
  }

  keep(key, tile) {
    this.tiles.set(key, tile);
    this.bytes += tile.labels?.byteLength ?? 0;
    for (const [old, one] of this.tiles) {
      if (this.bytes <= KEPT_BYTES || old === key) break;
      this.tiles.delete(old);
      this.bytes -= one.labels?.byteLength ?? 0;
    }
  }
}

// Pixels of the screen next to each other that lie in one tile.
function runs(positions, tilePx) {
  const found = [];
  for (let i = 0; i < positions.length; i++) {
    if (positions[i] < 0) continue;
    const tile = Math.floor(positions[i] / tilePx);
    const last = found.at(-1);
    if (last !== undefined && last.tile === tile && last.stop === i) last.stop = i + 1;
    else found.push({ tile, start: i, stop: i + 1 });
  }
  return found;
}

export const thumbAddress = (number) => `${base}api/images/${number}/thumb`;
