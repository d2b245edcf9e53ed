import uni from '@dcloudio/vite-plugin-uni';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [(uni.default ?? uni)()],
  // Where the server is, for the build: VITE_MOORLINE_URL=wss://chat.example.com/ws
});
