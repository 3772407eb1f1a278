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
  devicePower: 0.8,
  deviceClose: 0.8,
  deviceWipe: 1,
  deviceRollback: 0.3,
  deviceClone: 1,
  commitFails: 0.9,
  slowStore: 0.6,
  devicePause: 1,
  deviceSleep: 0.7,
  wallJump: 0.9,
  wake: 1.1,
  tokenFails: 1.6,
  deviceIntruder: 1.8,
  serverCrash: 1,
  serverPower: 0.8,
  serverStop: 0.8,
  serverClock: 1.5,
  flushError: 2,
  diskFull: 0.6,
  slowDisk: 0.9,
  checkpoint: 0.9,
  backup: 2,
  restore: 3,
  serverTrap: 13,
  deviceTrap: 12,
  cut: 1,
  cutSilently: 2.2,
  partition: 0.7,
  slowReader: 0.9,
  refuse: 0.8,
  leap: 1.1,
} as const

/** What happens to single pages of browsers, where a schedule has some. */
export const tabKinds = {
  tabOpen: 2,
  tabClose: 1,
  tabCrash: 1,
  tabFreeze: 1,
  leaderCrash: 1,
  leaderClose: 1,
  leaderFreeze: 1,
} as const

/** What one step does. */
export type StepKind = keyof typeof workKinds | keyof typeof faultKinds | keyof typeof tabKinds

/** Roles that members get: everything, send and receive, receive alone, send alone, nothing. A step's choice picks one. */
export const roleSets = [7, 3, 3, 2, 1, 0] as const

/** One of them. */
export type RoleSet = (typeof roleSets)[number]
