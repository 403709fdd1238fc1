// Theme: plotly.js and the colours that its figures have on this page, light or dark.

// Okabe and Ito's palette, which the colour-blind can tell apart (https://jfly.uni-koeln.de/color/), with greys for its
// black; marks and dashes say the same again. What is too faint on a paper is not used there, as is the end of viridis.
const PALETTES = {
  light: ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#5F5F5F", "#A0A0A0"],
  dark: ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#C0C0C0", "#7F7F7F"],
};
const SCALES = {
  light: [[0, "#440154"], [0.33, "#3b528b"], [0.67, "#21918c"], [1, "#7ad151"]],
  dark: [[0, "#3f6fb5"], [0.33, "#21918c"], [0.67, "#5ec962"], [1, "#fde725"]],
};
const INKS = {
  light: { ink: "#1c1e21", grid: "#e4e7eb", line: "#b9bec6", paper: "#ffffff" },
  dark: { ink: "#e8eaed", grid: "#2c323a", line: "#4a525c", paper: "#15181c" },
};
const darkness = matchMedia("(prefers-color-scheme: dark)");
const printing = { isOn: false };

// A print is on white paper, whatever the screen is.
function scheme() {
  return darkness.matches && !printing.isOn ? "dark" : "light";
}

function paletteColour(place) {
  const palette = PALETTES[scheme()];
  return palette[place % palette.length];
}

// Run plotly.js, which stands in the page as text.
function loadPlotly() {
  if (!globalThis.Plotly) document.head.append(make("script", {}, document.getElementById("plotly").textContent));
}

function drawFigure(element, data, layout) {
  loadPlotly();
  Plotly.react(element, data, themed(layout), { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
}

function drawForPrint(before, after) {
  addEventListener("beforeprint", () => {
    printing.isOn = true;
    before();
  });
  addEventListener("afterprint", () => {
    printing.isOn = false;
    after();
  });
}

// Give a figure the colours of the page.
function themed(layout) {
  const { ink, grid, line, paper } = INKS[scheme()];
  const axis = { gridcolor: grid, linecolor: line, zerolinecolor: line, tickcolor: line, exponentformat: "power", minexponent: 6 };
  return {
    margin: { l: 60, r: 20, t: 20, b: 50 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 13, color: ink },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink } },
    ...layout, xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis },
  };
}
