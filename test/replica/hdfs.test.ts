/** The contract, faults and lost answers, with a real HDFS. */
import { contract } from './contract.ts'
import { answerTests } from './hdfs-answers.ts'
import { faultTests } from './hdfs-faults.ts'
import { readTests } from './hdfs-reads.ts'
import { hdfsReplica, hdfsTest, shareCluster, whyNot } from './hdfs.ts'

shareCluster(3)

contract({ name: `hdfs${whyNot}`, register: hdfsTest, open: (t) => hdfsReplica(t) })
answerTests()
faultTests()
readTests()
