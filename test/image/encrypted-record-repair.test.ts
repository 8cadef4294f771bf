/** The tests of record-repair.test.ts on encrypted stores. */
process.env['HOLDFAST_TEST_ENCRYPTED'] = 'yes'
await import('./record-repair.test.ts')
