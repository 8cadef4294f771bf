/** The tests of chunk-store.test.ts on encrypted stores. */
process.env['HOLDFAST_TEST_ENCRYPTED'] = 'yes'
await import('./chunk-store.test.ts')
