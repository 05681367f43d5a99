declare module "htmx.org/dist/htmx.esm.js";
declare module "htmx.org/dist/ext/hx-csp.js";

interface HtmxContext {
  sourceElement: Element;
  target: Element | null;
  request: { action: string; method: string; headers: Record<string, string>; body: unknown };
  response?: { status: number };
}

interface Htmx {
  ajax(
    verb: string,
    path: string,
    options: { target: string; swap: string; push?: string; source?: Element },
  ): Promise<void>;
  process(root: Element): void;
}

declare const htmx: Htmx;
