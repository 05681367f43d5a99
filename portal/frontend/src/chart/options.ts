import uPlot from "uplot";
import type { ChartData } from "./data";
import { clock, day, withUnit } from "./format";

/** A custom property's colour as the canvas needs it: resolved for the theme in force. */
export function colour(figure: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.color = `var(--${name})`;
  figure.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** 5xx is hatched: told apart without its colour. */
function hatch(ink: string, ground: string): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const context = tile.getContext("2d");
  if (!context) return ink;
  context.fillStyle = ink;
  context.fillRect(0, 0, 8, 8);
  context.strokeStyle = ground;
  context.lineWidth = 1.5;
  for (const shift of [-8, 0, 8]) {
    context.moveTo(shift, 8);
    context.lineTo(shift + 8, 0);
  }
  context.stroke();
  return context.createPattern(tile, "repeat") ?? ink;
}

/** Values without a neighbour, which no line joins: only a point shows them. */
function lonely(values: (number | null | undefined)[]): number[] {
  const is = (i: number) => values[i] !== null && values[i] !== undefined;
  return values.map((_, i) => i).filter((i) => is(i) && !is(i - 1) && !is(i + 1));
}

function seriesOptions(figure: HTMLElement, data: ChartData): uPlot.Series[] {
  const ground = colour(figure, "surface");
  return data.series.map((series) => {
    const ink = colour(figure, series.colour);
    const points: uPlot.Series.Points = {
      show: true,
      size: 6,
      fill: ink,
      filter: (plot, s) => lonely(plot.data[s] as (number | null)[]),
    };
    if (series.dashed) {
      return { label: series.label, stroke: ink, width: 1.5, dash: [5, 4], points, spanGaps: false };
    }
    const fill = series.colour === "status-5xx" ? hatch(ink, ground) : ink;
    return {
      label: series.label,
      stroke: data.stacked ? ground : ink,
      width: data.stacked ? 0.5 : 1.75,
      ...(data.stacked ? { fill: () => fill as string, paths: uPlot.paths.stepped!({ align: 1 }) } : {}),
      points: data.stacked ? { show: false } : points,
      spanGaps: false,
    };
  });
}

/** The bucket that is not over yet is greyed and edged by a dashed line. */
function markUnfinished(figure: HTMLElement, data: ChartData) {
  const until = Number(figure.dataset.now) || 0;
  return (plot: uPlot) => {
    const last = data.times[data.times.length - 1]!;
    if (!until || last + data.step <= until) return;
    const { ctx, bbox } = plot;
    const x = Math.max(plot.valToPos(last, "x", true), bbox.left);
    ctx.save();
    ctx.strokeStyle = colour(figure, "muted");
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  };
}

/** Midnight is told by its day, every other tick by its time. */
function tickLabel(tick: number, zone: string, fine: boolean): string {
  const time = clock(tick, zone, false, fine);
  return time.startsWith("00:00") ? day(tick, zone) : time;
}

function axes(figure: HTMLElement, data: ChartData, zone: string, span: number): uPlot.Axis[] {
  const line = colour(figure, "line");
  const font = `12px ${getComputedStyle(figure).fontFamily}`;
  const common = { stroke: colour(figure, "muted"), font, ticks: { stroke: line, width: 1, size: 4 } };
  const fine = span < 600;
  return [
    {
      ...common,
      grid: { show: false },
      size: 30,
      space: 64,
      values: (_, ticks) => ticks.map((tick) => tickLabel(tick, zone, fine)),
    },
    {
      ...common,
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
      // Wide enough for the longest: `800 M req/s` is longer than `12 ms`.
      size: (_, values) => Math.max(74, 14 + 7 * Math.max(0, ...(values ?? []).map((text) => text.length))),
      space: 32,
      values: (_, ticks) => ticks.map((tick) => withUnit(tick, data.unit)),
    },
  ];
}

/** What uPlot needs to draw this figure at this size. */
export function chartOptions(figure: HTMLElement, data: ChartData, width: number, height: number): uPlot.Options {
  const zone = document.body.dataset.zone || "UTC";
  const end = data.times[data.times.length - 1]! + data.step;
  return {
    width,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    legend: { show: false },
    // Half of the last tick's label stands beyond the end.
    padding: [8, end - data.times[0]! < 600 ? 30 : 22, 0, 0],
    cursor: {
      y: false,
      drag: { x: figure.dataset.brush !== undefined, y: false, setScale: false },
      points: { show: !data.stacked, size: 6 },
      sync: { key: "traffic" },
    },
    scales: {
      x: { time: true, range: [data.times[0]!, end] },
      y: { range: (_, __, max) => [0, niceMax(max)] },
    },
    series: [{}, ...seriesOptions(figure, data)],
    axes: axes(figure, data, zone, end - data.times[0]!),
    hooks: { draw: [markUnfinished(figure, data)] },
  };
}

function niceMax(max: number): number {
  if (!(max > 0)) return 1;
  return max * 1.08;
}
