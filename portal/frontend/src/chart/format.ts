const steps: [number, string][] = [
  [1e18, "E"],
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** `1.2 k req/s`, `12 ms`, `1.5 s`: a number with its unit. */
export function withUnit(value: number, unit: string): string {
  if (unit === "ms" && value >= 7.2e6) return `${trim(value / 3.6e6)} h`;
  if (unit === "ms" && value >= 120_000) return `${trim(value / 60_000)} min`;
  if (unit === "ms") return value >= 1000 ? `${trim(value / 1000)} s` : `${trim(value)} ms`;
  for (const [size, letter] of steps) {
    if (Math.abs(value) >= size) return `${trim(value / size)} ${letter}${unit ? ` ${unit}` : ""}`;
  }
  return `${trim(value)}${unit ? ` ${unit}` : ""}`;
}

function trim(value: number): string {
  // A few requests a day are not none.
  if (value !== 0 && Math.abs(value) < 0.1) return String(Number(value.toPrecision(2)));
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string, long: boolean, seconds: boolean): Intl.DateTimeFormat {
  const key = `${zone} ${long} ${seconds}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      ...(long ? { day: "numeric", month: "short" } : {}),
      hour: "2-digit",
      minute: "2-digit",
      ...(seconds ? { second: "2-digit" } : {}),
    });
    formats.set(key, found);
  }
  return found;
}

/** The clock of the reader's zone; with the day when `long`. */
export const clock = (seconds: number, zone: string, long = false, fine = false): string =>
  format(zone, long, fine).format(seconds * 1000);

/** `21 Nov` in the reader's zone. */
export const day = (seconds: number, zone: string): string =>
  new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short" }).format(seconds * 1000);
