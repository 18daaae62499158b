import { ClusterWorker } from "poolifier"

export default new ClusterWorker((payload) => payload)
