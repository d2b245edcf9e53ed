export { createTestServer } from './server.js';
export type { Target, TestServer } from './server.js';
export type { TestHost, TestHostOptions } from './host.js';
export type { TestStore } from './store.js';
export type { FakeTimers } from './clock.js';
export type { BackendCall, CallHandler, OnCallOptions } from './calls.js';
export { describeHost } from './host-suite.js';
export type { HostSuiteOptions, Runner } from './host-suite.js';
export type {
  ChannelRule,
  Grants,
  LoggedMessage,
  Permission,
  Published,
  PublishOptions,
  ServerConnection,
  ServerMember,
  TestLimits,
  TestServerOptions,
  TokenOptions,
} from './types.js';
