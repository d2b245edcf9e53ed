// An app in Node with ES modules: `node run.mjs URL USER`.
import { received } from './app.js';

console.log(await received(...process.argv.slice(2)));
