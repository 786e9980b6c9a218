// Parses the AsyncAPI document given as argument; every error of the parser ends with exit code 1.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const source = await readFile(process.argv[2], "utf8");
const { document, diagnostics } = await new Parser().parse(source);
const errors = diagnostics.filter((diagnostic) => diagnostic.severity === 0);
for (const error of errors) {
  console.error(`${error.path.join("/")}: ${error.message}`);
}
if (!document || errors.length > 0) {
  process.exit(1);
}
console.log(`AsyncAPI ${document.version()}: ${document.channels().length} channels, ${document.operations().length} operations`);
