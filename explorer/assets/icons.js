// Small line icons, drawn for this page.
const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  sun: ["M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z", "M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M19 5l-1.4 1.4M6.4 17.6L5 19"],
  moon: ["M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z"],
  half: ["M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z"],
  menu: ["M4 7h16M4 12h16M4 17h16"],
  close: ["M6 6l12 12M18 6L6 18"],
  log: ["M5 4h14v16H5z", "M8 9h8M8 13h8M8 17h5"],
  commands: ["M4 6h9M4 12h9M4 18h9", "M17 4.5l4 3-4 3zM17 14.5h4v4h-4z"],
  leave: ["M13 4H5v16h8", "M10 12h11M17 8l4 4-4 4"],
  folder: ["M3 6h6l2 2h10v11H3z", "M12 11v5M9.5 13.5h5"],
  alert: ["M12 4l9 16H3z", "M12 10v5M12 17.6v.2"],
  pause: ["M9 5v14M15 5v14"],
  play: ["M8 5l11 7-11 7z"],
};

const SOLID = { half: "M12 3a9 9 0 0 1 0 18z" };

/** An SVG element of the icon `name`, hidden from assistive technology: label its button or link. */
export function icon(name, size = 20) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = {
    viewBox: "0 0 24 24", width: size, height: size, fill: "none", stroke: "currentColor", "stroke-width": 1.8,
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
  };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, String(value));
  for (const shape of PATHS[name]) svg.append(path(shape));
  if (SOLID[name]) svg.append(path(SOLID[name], "currentColor"));
  return svg;
}

function path(shape, fill = "none") {
  const node = document.createElementNS(SVG, "path");
  node.setAttribute("d", shape);
  node.setAttribute("fill", fill);
  return node;
}
