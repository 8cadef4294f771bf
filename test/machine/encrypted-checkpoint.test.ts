/** The tests of checkpoint.test.ts on encrypted stores. */
process.env['HOLDFAST_TEST_ENCRYPTED'] = 'yes'
await import('./checkpoint.test.ts')
