// A separate file, because the Content-Security-Policy forbids inline scripts.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#operations",
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  // The filter of Swagger UI itself distinguishes capital letters.
  plugins: [
    () => ({
      fn: {
        opsFilter: (tags, phrase) =>
          tags.filter((_, tag) => tag.toLowerCase().includes(phrase.toLowerCase())),
      },
    }),
  ],
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  // The page calls no other host, and stores no token.
  validatorUrl: null,
  persistAuthorization: false,
});
