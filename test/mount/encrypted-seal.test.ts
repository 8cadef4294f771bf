/** The tests of seal.test.ts on encrypted stores. */
process.env['HOLDFAST_TEST_ENCRYPTED'] = 'yes'
await import('./seal.test.ts')
