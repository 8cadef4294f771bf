/** Every bound of the drivers, with its unit in its name and its reason beside it. */
export const limits = Object.freeze({
  /** One control message. The largest answer known, a QMP schema, is about 200 KB. */
  messageBytesMax: 4 * 1024 * 1024,
  /** Commands sent and not answered. A machine is driven by one caller, which waits for most answers. */
  commandsPendingMax: 64,
  /** Events a reader may lag behind before the oldest are dropped and it is told so. */
  eventsQueuedMax: 256,
  /** Device state kept for one pause. A large guest has about 1 MB; memory that is not shared would land here. */
  stateBytesMax: 64 * 1024 * 1024,
  /** Any command that should answer at once. With slow memory writeback one took 1.3 s, so this is generous. */
  commandTimeoutMs: 10_000,
  /**
   * From the start of the process to its first words on the control connection: 30 ms, and once more than 20 s on two
   * processors that ran a Hadoop cluster besides. One that dies is seen at once.
   */
  startTimeoutMs: 60_000,
  /** The default for `quiesce`: in-flight disk requests are drained in it. */
  quiesceTimeoutMs: 10_000,
  saveTimeoutMs: 10_000,
  loadTimeoutMs: 30_000,
  /** A cancelled save ends within milliseconds unless its writes are stuck. */
  cancelTimeoutMs: 5_000,
  /** After the control connection closed: how long the end of the process may lag behind. */
  exitLagMs: 3_000,
  /** How often a hypervisor that was started a moment ago is looked for at its gate: it takes some 30 ms to it. */
  gatePollMs: 2,
  /** How often an adopted process, which is not our child, is looked at. */
  processPollMs: 100,
  /** How often while its end is expected. */
  processPollBusyMs: 5,
  /** The stages of a stop: the guest's own shutdown, the hypervisor's, and the kernel's. */
  powerdownTimeoutMs: 30_000,
  quitTimeoutMs: 5_000,
  killTimeoutMs: 10_000,
  /** A boot that proves an accelerator. A working one takes 60 to 200 ms, many times that where the host is busy. */
  proofTimeoutMs: 3_000,
  /** TCG is a program: it may be slow, and does not hang. */
  tcgProofTimeoutMs: 60_000,
  /** The end of the hypervisor's log that is quoted in an error. */
  logQuotedBytes: 2_048,
  /** A switch on the same host accepts at once; there is no event for one that does not. */
  plugTimeoutMs: 5_000,
  /** A guest agent answers in milliseconds, or is not there. */
  agentTimeoutMs: 2_000,
  /** sockaddr_un has room for 108 bytes; sockets are reached relative to their directory. */
  socketNameBytesMax: 64,
  /** The smallest guest memory: below it firmware does not start. */
  memoryBytesMin: 1024 * 1024,
  cpusMax: 1024,
})
