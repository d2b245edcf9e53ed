import { defineConfig } from 'vite';

// The page asks where it comes from; while it is worked on, that is passed on to the server.
const server = process.env.MOORLINE_URL ?? 'http://127.0.0.1:8000';

export default defineConfig({
  resolve: { dedupe: ['react', 'react-dom'] },
  // The server compares `Origin` and `Host`: both stay the page's.
  server: { proxy: { '/ws': { target: server, ws: true }, '/console/api': { target: server } } },
});
