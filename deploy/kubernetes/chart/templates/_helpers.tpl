{{- define "register.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "register.selector" -}}
app.kubernetes.io/name: register
{{- if ne .Release.Name "register" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- end -}}
