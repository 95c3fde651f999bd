// Stands in for packages that dockerode loads for what we never do: engines over ssh, builds by BuildKit.
export default {}
