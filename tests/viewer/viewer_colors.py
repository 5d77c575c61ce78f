"""How far apart colours look, also to people who are colour-blind; and how the palette was made.

``python tests/viewer/viewer_colors.py`` prints the extension of the palette.
"""

from __future__ import annotations

import numpy as np

# Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision
# Deficiency, IEEE TVCG 15 (2009); severity 1.0, applied to linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array([
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]),
    "deuteranopia": np.array([
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]),
}  # fmt: skip

# IEC 61966-2-1, white point D65
_TO_XYZ = np.array([
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
])  # fmt: skip


def lab(colors: np.ndarray, vision: str = "normal") -> np.ndarray:
    """CIELAB of sRGB colours (n, 3) of 0 to 255, as seen with a vision."""
    srgb = np.asarray(colors, float) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISIONS[vision].T, 0, 1)
    xyz = seen @ _TO_XYZ.T / _TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distance of CIELAB colours: Sharma, Wu, Dalal, Color Res. Appl. 30 (2005)."""
    l1, a1, b1 = np.moveaxis(np.asarray(one, float), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(other, float), -1, 0)
    c_mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(c_mean**7 / (c_mean**7 + 25.0**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    gray = c1 * c2 == 0
    dh = np.where(gray, 0, (h2 - h1 + 180) % 360 - 180)
    d_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh / 2))
    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    far = np.abs(h1 - h2) > 180
    h_mean = np.where(gray, h1 + h2, ((h1 + h2 + np.where(far, 360, 0)) / 2) % 360)
    t = (
        1
        - 0.17 * np.cos(np.radians(h_mean - 30))
        + 0.24 * np.cos(np.radians(2 * h_mean))
        + 0.32 * np.cos(np.radians(3 * h_mean + 6))
        - 0.20 * np.cos(np.radians(4 * h_mean - 63))
    )
    s_l = 1 + 0.015 * (l_mean - 50) ** 2 / np.sqrt(20 + (l_mean - 50) ** 2)
    s_c, s_h = 1 + 0.045 * c_mean, 1 + 0.015 * c_mean * t
    turn = np.radians(60 * np.exp(-(((h_mean - 275) / 25) ** 2)))
    r = -2 * np.sqrt(c_mean**7 / (c_mean**7 + 25.0**7)) * np.sin(turn)
    d_l, d_c, d_h = (l2 - l1) / s_l, (c2 - c1) / s_c, d_hue / s_h
    return np.sqrt(d_l**2 + d_c**2 + d_h**2 + r * d_c * d_h)


def distances(colors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Least distance over all visions, shape (len(colors), len(others))."""
    return np.min(
        [ciede2000(lab(colors, vision)[:, None], lab(others, vision)[None]) for vision in VISIONS],
        axis=0,
    )


def extended(first: list[tuple[int, int, int]], n: int, step: int = 15) -> list:
    """`n` further colours, each as far as can be from white, black and all before it."""
    axis = np.arange(0, 256, step)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    # Pale colours vanish on a slide's glass, dark ones look like holes.
    lightness = lab(grid)[:, 0]
    grid = grid[(lightness >= 25) & (lightness <= 85)]
    least = distances(grid, np.array([*first, (0, 0, 0), (255, 255, 255)])).min(axis=1)
    picked = []
    for _ in range(n):
        best = int(np.argmax(least))
        picked.append((tuple(grid[best].tolist()), float(least[best])))
        least = np.minimum(least, distances(grid, grid[best : best + 1])[:, 0])
    return picked


if __name__ == "__main__":
    from qpmask.viewer.palette import OKABE_ITO

    for color, distance in extended(list(OKABE_ITO), 25):
        print(f"    {color},  # {distance:.1f}")
