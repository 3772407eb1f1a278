/** What apps and operators do, with how often relative to one another. */
export const workKinds = {
  send: 10,
  burst: 2,
  sendAgain: 2,
  sendOther: 0.7,
  sendOnce: 1,
  realtime: 1,
  typing: 0.6,
  watch: 0.8,
  submit: 1.5,
  submitAgain: 0.5,
  markRead: 3,
  cancel: 0.5,
  retry: 0.5,
  groupCreate: 0.7,
  groupDelete: 0.15,
  memberSet: 1.5,
  leave: 0.3,
  /** Only in motifs: many messages at once. */
  flood: 0,
  block: 0.3,
  unblock: 0.3,
  userDelete: 0.1,
  userCreate: 0.1,
  revoke: 0.15,
  stopReceiving: 0.3,
  receive: 0.6,
  wait: 1,
} as const

/** What goes wrong, likewise. */
export const faultKinds = {
  deviceCrash: 1,
  devicePower: 0.6,
  deviceClose: 0.5,
  deviceWipe: 0.25,
  deviceRollback: 0.25,
  deviceClone: 0.25,
  commitFails: 0.5,
  slowStore: 0.3,
  devicePause: 0.4,
  deviceSleep: 0.4,
  wallJump: 0.4,
  wake: 0.2,
  tokenFails: 0.3,
  serverCrash: 1,
  serverPower: 0.5,
  serverStop: 0.4,
  serverClock: 0.2,
  flushError: 0.3,
  diskFull: 0.3,
  slowDisk: 0.3,
  checkpoint: 0.6,
  backup: 0.4,
  restore: 0.25,
  serverTrap: 1.2,
  deviceTrap: 1,
  cut: 1,
  cutSilently: 0.8,
  partition: 0.7,
  slowReader: 0.4,
  refuse: 0.3,
  leap: 0.25,
} as const

/** What one step does. */
export type StepKind = keyof typeof workKinds | keyof typeof faultKinds

/** Roles that members get: everything, send and receive, receive alone, send alone, nothing. A step's choice picks one. */
export const roleSets = [7, 3, 3, 2, 1, 0] as const

/** One of them. */
export type RoleSet = (typeof roleSets)[number]
