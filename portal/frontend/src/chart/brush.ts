import type uPlot from "uplot";
import { say } from "../dom";
import type { ChartData } from "./data";
import { clock, withUnit } from "./format";

/** One history entry for all charts: the page's address with an absolute, half-open range. */
function navigate(from: number, to: number) {
  const url = new URL(location.href);
  url.searchParams.set("from", new Date(from * 1000).toISOString().replace(".000Z", "Z"));
  url.searchParams.set("to", new Date(to * 1000).toISOString().replace(".000Z", "Z"));
  url.searchParams.delete("after");
  url.searchParams.delete("peek");
  location.assign(url);
}

function describe(data: ChartData, index: number): string {
  const zone = document.body.dataset.zone || "UTC";
  const when = clock(data.times[index]!, zone, data.step >= 3600);
  const values = data.series.map((series, s) => {
    const value = data.values[s]![index];
    return `${series.label} ${value === null || value === undefined ? "–" : withUnit(value, data.unit)}`;
  });
  return `${when} · ${values.join(" · ")}`;
}

/** Puts the values under the cursor into the legend, as text. */
function showLegend(figure: HTMLElement, data: ChartData, at: number | null | undefined) {
  const index = at == null ? null : Math.min(at, data.times.length - 1);
  const when = figure.querySelector<HTMLElement>("[data-legend-time]");
  if (when) {
    const zone = document.body.dataset.zone || "UTC";
    when.textContent = index == null ? "" : clock(data.times[index]!, zone, data.step >= 3600, data.step < 60);
  }
  figure.querySelectorAll<HTMLElement>("[data-legend]").forEach((cell, s) => {
    const value = index == null ? undefined : data.values[s]?.[index];
    cell.textContent = value == null ? "" : withUnit(value, data.unit);
  });
}

function moveByKeys(plot: uPlot, data: ChartData, event: KeyboardEvent) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const last = data.times.length - 1;
  const index = Math.min(last, Math.max(0, (plot.cursor.idx ?? (step > 0 ? -1 : last + 1)) + step));
  plot.setCursor({ left: plot.valToPos(data.times[index]!, "x"), top: 0 });
  say(describe(data, index));
}

/** Fingers choose a range as a mouse does; what moves up or down still scrolls the page. */
function brushByTouch(plot: uPlot) {
  let start: number | null = null;
  const left = (event: PointerEvent) => {
    const box = plot.over.getBoundingClientRect();
    return Math.min(Math.max(event.clientX - box.left, 0), box.width);
  };
  const select = (event: PointerEvent, done: boolean) => {
    const here = left(event);
    const width = Math.abs(here - start!);
    plot.setSelect({ left: Math.min(here, start!), width, top: 0, height: plot.over.clientHeight }, done);
  };
  plot.over.addEventListener("pointerdown", (event) => {
    start = event.pointerType === "mouse" || !event.isPrimary ? null : left(event);
  });
  plot.over.addEventListener("pointermove", (event) => {
    if (start === null) return;
    plot.setCursor({ left: left(event), top: 0 });
    select(event, false);
  });
  plot.over.addEventListener("pointerup", (event) => {
    if (start === null) return;
    select(event, true);
    start = null;
  });
  plot.over.addEventListener("pointercancel", () => {
    start = null;
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  });
}

export function startBrush(figure: HTMLElement, plot: uPlot, data: ChartData) {
  plot.hooks.setCursor = [(u: uPlot) => showLegend(figure, data, u.cursor.idx)];
  plot.hooks.setSelect = [
    (u: uPlot) => {
      if (u.select.width < 4) return;
      const from = Math.floor(u.posToVal(u.select.left, "x"));
      const to = Math.ceil(u.posToVal(u.select.left + u.select.width, "x"));
      navigate(from, Math.max(to, from + 1));
    },
  ];
  if (figure.dataset.brush !== undefined) brushByTouch(plot);
  const mount = figure.querySelector<HTMLElement>("[data-plot]");
  if (mount) mount.onkeydown = (event) => moveByKeys(plot, data, event);
}
