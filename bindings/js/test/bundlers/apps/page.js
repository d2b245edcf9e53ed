import { received } from './app.js';

globalThis.received = received;
