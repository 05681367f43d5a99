// Bundles src/ and css/ into portal/static/dist with content-hashed names, and writes the
// manifest that the `asset` template tag reads.
import { build } from "esbuild";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "static", "dist");
const budgets = { js: 60 * 1024, css: 20 * 1024 };

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const result = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/app.ts", chart: "src/chart.ts", portal: "css/portal.css" },
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome123", "firefox120", "safari17.5"],
  legalComments: "none",
  entryNames: "[name]-[hash]",
  outdir: out,
  metafile: true,
});

const manifest = {};
const sizes = { js: 0, css: 0 };
for (const [file, meta] of Object.entries(result.metafile.outputs)) {
  if (!meta.entryPoint) continue;
  const name = basename(file);
  const kind = name.endsWith(".css") ? "css" : "js";
  manifest[name.replace(/-[A-Z0-9]{8}\./, ".")] = name;
  sizes[kind] += gzipSync(readFileSync(join(here, file))).length;
}
writeFileSync(join(out, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);

for (const [kind, bytes] of Object.entries(sizes)) {
  console.log(`${kind}: ${bytes} bytes gzip of ${budgets[kind]}`);
  if (bytes > budgets[kind]) throw new Error(`${kind} is over its budget`);
}
