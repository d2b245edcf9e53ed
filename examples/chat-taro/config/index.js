// Where the server is, for the build: MOORLINE_URL=wss://chat.example.com/ws
const url = process.env.MOORLINE_URL || 'ws://127.0.0.1:8000/ws';

module.exports = {
  projectName: 'moorline-chat-taro',
  date: '2026-1-1',
  designWidth: 375,
  deviceRatio: { 375: 1 },
  sourceRoot: 'src',
  outputRoot: `dist/${process.env.TARO_ENV}`,
  plugins: [],
  framework: 'react',
  compiler: { type: 'webpack5', prebundle: { enable: false } },
  defineConstants: { MOORLINE_URL: JSON.stringify(url) },
  mini: {},
  h5: { publicPath: './', staticDirectory: 'static', router: { mode: 'hash' } },
};
