// Checks an AsyncAPI document: node asyncapi.cjs PARSER DOCUMENT. Exit code 1 for an error or a warning.
const [, , parser, document] = process.argv;
const { Parser } = require(parser);

/** That there is a later version of AsyncAPI is no fault of the document. */
const IGNORED = ["asyncapi-latest-version"];

new Parser().parse(require("fs").readFileSync(document, "utf8")).then(({ document, diagnostics }) => {
  const found = diagnostics.filter(({ code, severity }) => severity <= 1 && !IGNORED.includes(code));
  for (const { code, message, path } of diagnostics) console.log(`${code}: ${message} (${path.join(".")})`);
  if (found.length > 0 || !document) process.exit(1);
  console.log(`AsyncAPI: ${document.messages().length} messages`);
});
