import type uPlot from "uplot";

export interface Series {
  label: string;
  /** Name of the custom property that colours it, without the dashes: `status-5xx`. */
  colour: string;
  /** A line of its own, not in the stack. */
  dashed: boolean;
}

export interface ChartData {
  /** Starts of buckets, seconds since 1970 UTC. */
  times: number[];
  series: Series[];
  /** What uPlot takes: times, then one list a series; stacked where the chart is. */
  rows: uPlot.AlignedData;
  /** The values as they stand in the table. */
  values: (number | null)[][];
  unit: string;
  stacked: boolean;
  /** Seconds of one bucket. */
  step: number;
}

function number(cell: HTMLTableCellElement): number | null {
  const text = cell.dataset.value ?? "";
  return text === "" ? null : Number(text);
}

/** Sums from the last series down, so that each area lies under the one before it. */
function stack(values: (number | null)[][], series: Series[]): (number | null)[][] {
  const sums = values.map((row) => [...row]);
  for (let s = sums.length - 2; s >= 0; s -= 1) {
    if (series[s]!.dashed || series[s + 1]!.dashed) continue;
    sums[s] = sums[s]!.map((value, i) => (value ?? 0) + (sums[s + 1]![i] ?? 0));
  }
  return sums;
}

/** A bucket is as wide as its step: the last one needs a point at its end to be drawn. */
function closed(times: number[], values: (number | null)[][], step: number): uPlot.AlignedData {
  const end = times[times.length - 1]! + step;
  return [[...times, end], ...values.map((row) => [...row, row[row.length - 1] ?? null])] as uPlot.AlignedData;
}

/** Reads a chart's table: a head of named series, a row a bucket. */
export function readTable(table: HTMLTableElement): ChartData {
  const heads = [...table.tHead!.rows[0]!.cells].slice(1);
  const body = [...table.tBodies[0]!.rows];
  const times = body.map((row) => Date.parse(row.cells[0]!.querySelector("time")!.dateTime) / 1000);
  const values = heads.map((_, i) => body.map((row) => number(row.cells[i + 1]!)));
  const stacked = table.dataset.series === "stacked";
  const step = Number(table.dataset.step) || 60;
  const series = heads.map((head) => ({
    label: head.textContent!.trim(),
    colour: head.dataset.colour!,
    dashed: head.dataset.dashed !== undefined,
  }));
  return {
    times,
    series,
    rows: stacked ? closed(times, stack(values, series), step) : ([times, ...values] as uPlot.AlignedData),
    values,
    unit: table.dataset.unit ?? "",
    stacked,
    step,
  };
}
