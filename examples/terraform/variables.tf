variable "bucket" {
  description = "Existing S3 bucket of this region, for the code and the template."
  type        = string
}

variable "release" {
  description = "Folder in which offboard-stack-VERSION-ARCHITECTURE.zip of a release was unpacked."
  type        = string
}

variable "configuration" {
  description = "Folder with your offboard.toml, and in providers/ kinds of your own. Nothing else: all of it becomes a layer."
  type        = string
}

variable "name" {
  description = "Name of the stack, and of its layer."
  type        = string
  default     = "offboard"
}

variable "parameters" {
  description = "Parameters of the template. One that is not named has the template's default."
  type        = map(string)
  default     = {}
}
