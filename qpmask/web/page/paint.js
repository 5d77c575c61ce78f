// Labels become colours: one number (red, green, blue, opacity from the lowest byte) a label.

import { DAMAGED } from "./labels.js";

const INK = 0xff << 24;
const BAD = [0xff2020ff >>> 0, 0xffffffff >>> 0];
const GOLDEN = 0.61803398875; // neighbours in number are far apart in hue

export function fromHex(color) {
  const n = Number.parseInt(color.slice(1), 16);
  return (INK | ((n & 0xff) << 16) | (n & 0xff00) | (n >> 16)) >>> 0;
}

// Colours of objects by their number.
export function instanceColor(label) {
  const hue = ((label * GOLDEN) % 1) * 6;
  const strong = 1 - 0.35 * ((label * 7) % 3) / 2;
  const part = (shift) => {
    const k = (hue + shift) % 6;
    return Math.round(255 * strong * (1 - 0.75 * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return (INK | (part(1) << 16) | (part(3) << 8) | part(5)) >>> 0;
}

// A table from labels to colours; 0 for what is not shown.
//
// classes: [{ label, color }]; off: labels not shown; objects: for instances, which class each label
// has (Uint16Array); byInstance: a colour an object instead of one a class.
export class Colors {
  constructor(layer, off, recolored, objects, byInstance) {
    const own = new Map(layer.classes.map((row) => [row.label, fromHex(recolored(row) ?? row.color)]));
    this.off = off;
    if (objects) {
      this.table = new Uint32Array(objects.length);
      for (let label = 1; label < objects.length; label++) {
        const number = objects[label];
        if (number && !off.has(number)) this.table[label] = byInstance ? instanceColor(label) : own.get(number);
      }
    } else {
      const last = Math.max(0, ...own.keys());
      this.table = new Uint32Array(last + 1);
      for (const [label, color] of own) this.table[label] = label && !off.has(label) ? color : 0;
    }
    this.known = own;
    this.isObjects = Boolean(objects);
  }

  of(label) {
    if (label < this.table.length) {
      const color = this.table[label];
      if (color || label === 0 || this.isObjects || this.known.has(label)) return color;
    }
    return this.off.has(label) ? 0 : instanceColor(label); // a label that the table does not name
  }
}

// Paints labels onto pixels (Uint32Array; what was painted before lies below): all of them, or with a
// lineWidth those that are so near to another label.
export function paintLabels(pixels, labels, width, height, colors, lineWidth) {
  let last = -1, color = 0;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const label = labels[i];
      if (label === 0) continue;
      if (label === DAMAGED) {
        pixels[i] = BAD[((x + y) >> 3) & 1];
        continue;
      }
      if (label !== last) {
        last = label;
        color = colors.of(label);
      }
      if (color === 0) continue;
      if (!lineWidth || isEdge(labels, i, x, y, width, height, label, lineWidth)) pixels[i] = color;
    }
  }
}

function isEdge(labels, i, x, y, width, height, label, by) {
  return (x >= by && labels[i - by] !== label) || (x + by < width && labels[i + by] !== label)
    || (y >= by && labels[i - by * width] !== label) || (y + by < height && labels[i + by * width] !== label)
    || (by > 1 && isEdge(labels, i, x, y, width, height, label, by - 1));
}

// Paints where two masks differ: in the colour of the one that has a class there, or striped.
export function paintDifference(pixels, first, second, width, height, colorsA, colorsB) {
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const a = first[i], b = second[i];
      if (a === DAMAGED || b === DAMAGED) {
        pixels[i] = BAD[((x + y) >> 3) & 1];
      } else if (a !== b) {
        const one = colorsA.of(a), other = colorsB.of(b);
        pixels[i] = one && other ? (((x + y) >> 2) & 1 ? one : other) : one || other;
      }
    }
  }
}

// How many pixels of a view have each label, within the image. inside: { x0, y0, x1, y1 }.
export function countLabels(labels, width, inside) {
  const counts = new Map();
  let last = labels[0], run = 0;
  for (let y = inside.y0; y < inside.y1; y++) {
    for (let i = y * width + inside.x0, stop = y * width + inside.x1; i < stop; i++) {
      if (labels[i] === last) { run++; continue; }
      counts.set(last, (counts.get(last) || 0) + run);
      last = labels[i];
      run = 1;
    }
  }
  counts.set(last, (counts.get(last) || 0) + run);
  return counts;
}
