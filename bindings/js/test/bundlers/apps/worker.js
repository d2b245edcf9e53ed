import { received } from './app.js';

onmessage = ({ data: [url, user] }) => received(url, user).then((text) => postMessage(text), (error) => postMessage(String(error)));
