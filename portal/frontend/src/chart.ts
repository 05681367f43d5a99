import uPlot from "uplot";
import { startBrush } from "./chart/brush";
import { type ChartData, readTable } from "./chart/data";
import { chartOptions } from "./chart/options";

// Each chart draws the numbers of the table beneath it: one source for eye and reader.
const plots = new WeakMap<HTMLElement, uPlot>();

function draw(figure: HTMLElement) {
  const mount = figure.querySelector<HTMLElement>("[data-plot]");
  const table = figure.querySelector<HTMLTableElement>("table[data-series]");
  if (!mount || !table || mount.clientWidth === 0) return;
  const data: ChartData = readTable(table);
  if (data.times.length === 0) return;
  plots.get(mount)?.destroy();
  mount.replaceChildren();
  const height = Number(figure.dataset.height) || 180;
  const plot = new uPlot(chartOptions(figure, data, mount.clientWidth, height), data.rows, mount);
  plots.set(mount, plot);
  startBrush(figure, plot, data);
}

function drawAll() {
  for (const figure of document.querySelectorAll<HTMLElement>("figure[data-chart]")) draw(figure);
}

let pending = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(pending);
  pending = requestAnimationFrame(drawAll);
});
document.addEventListener("qc:upgrade", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
drawAll();
